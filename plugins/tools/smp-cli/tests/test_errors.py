"""One line, exit status 1, no traceback; with --debug the traceback."""

from __future__ import annotations

import errno
import warnings

import pytest
import typer
from typer.testing import CliRunner

from smp_cli.errors import CliError, Debug, explain, guarded
from smp_core.errors import WeightsError


def test_an_error_is_one_line(smp):
    result = smp("show", "no-such-thing")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: unknown encoder 'no-such-thing'")
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback(smp):
    result = smp("--debug", "show", "no-such-thing")
    assert result.returncode == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "UnknownEncoderError: unknown encoder 'no-such-thing'" in result.stderr


def test_usage_errors_are_typers(run):
    result = run("predict", "--nonsense")
    assert result.exit_code == 2
    assert "No such option: --nonsense" in result.output


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CliError("no such folder"), "no such folder"),
        (WeightsError("two\nlines"), "two\nlines"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a/b.png"), "'a/b.png': No such file"),
        (OSError("pipe burst"), "OSError: pipe burst (smp --debug shows the traceback)"),
        (ZeroDivisionError(), "ZeroDivisionError (smp --debug shows the traceback)"),
        (RuntimeError("a\n  b"), "RuntimeError: a b (smp --debug shows the traceback)"),
    ],
)
def test_what_errors_say(error, text):
    assert explain(error) == text


def _app(command) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(guarded(command))
    return app


def test_an_unexpected_error_is_a_line_too():
    def command() -> None:
        raise RuntimeError("surprise")

    result = CliRunner().invoke(_app(command))
    assert result.exit_code == 1
    assert result.output == "error: RuntimeError: surprise (smp --debug shows the traceback)\n"


def test_debug_raises_the_error_itself(monkeypatch):
    def command() -> None:
        raise CliError("surprise")

    monkeypatch.setattr(Debug, "on", True)
    result = CliRunner().invoke(_app(command))
    assert isinstance(result.exception, CliError)


def test_warnings_are_lines_before_the_error():
    def command() -> None:
        warnings.warn("careful\nTraceback: long", RuntimeWarning, stacklevel=1)
        raise CliError("too late")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = CliRunner().invoke(_app(command))
    assert result.output == "warning: careful\nerror: too late\n"


def test_long_lines_are_not_wrapped():
    def command() -> None:
        raise CliError("x " * 200)

    output = CliRunner().invoke(_app(command)).output
    assert output.count("\n") == 1


def test_markup_in_a_message_is_text():
    def command() -> None:
        raise CliError("[bold]a[/bold] [1, 2]")

    assert CliRunner().invoke(_app(command)).output == "error: [bold]a[/bold] [1, 2]\n"
