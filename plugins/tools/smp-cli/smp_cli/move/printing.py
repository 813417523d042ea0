"""The report for people: lines that can be searched for, coloured on a terminal."""

from __future__ import annotations

import typer
from rich.text import Text

from smp_cli.console import is_terminal, print_error, stdout
from smp_cli.move.report import FileReport, Line, Report
from smp_cli.move.rewriting import diff

_NAME = "segmentation_models_pytorch"


def print_report(report: Report) -> None:
    """Each use with what it becomes, and what to install. In each file a note is said once, on a class each time."""
    for file in report.files:
        said: set[str] = set()
        for line in file.lines:
            # Each place where a class is passed on is one to look at.
            _print_line(file, line, set() if line.kind == "class" else said)
            said.update(line.notes)
    _print_summary(report)


def print_failures(report: Report) -> None:
    """The files that were left alone, and those that could not be done, on stderr."""
    for path, reason in report.left:
        print_error(f"note: {str(path)!r} {reason}")
    for path, reason in report.failures:
        print_error(f"error: {str(path)!r} {reason}")


def print_diff(file: FileReport) -> None:
    """What rewriting the imports changes, as a unified diff."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in diff(_printable(str(file.path)), file.old, file.new):
        if is_terminal():
            stdout().print(Text(_printable(line.rstrip("\r\n")), style=styles.get(line[:1], "")), soft_wrap=True)
        else:
            typer.echo(line, nl=False)


def _print_line(file: FileReport, line: Line, said: set[str]) -> None:
    """A line, without the notes that were said before."""
    _say((f"{_printable(str(file.path))}:{line.place}: ", "cyan"), (_printable(line.text), "bold"))
    if line.becomes is not None and line.becomes != line.text:
        _say(("    -> ", "dim"), (_printable(line.becomes), "green"))
    for note in line.notes:
        if note in said:
            continue
        _say((f"    note: {_printable(note)}", "dim"))


def _print_summary(report: Report) -> None:
    counted = f"{report.read} file{'' if report.read == 1 else 's'}"
    if not report.files:
        if not report.failures:
            _say((f"No use of {_NAME} in {counted}.", ""))
        return
    _say(("", ""))
    uses = f"{report.uses} use{'' if report.uses == 1 else 's'}"
    _say((f"{uses} of {_NAME}, in {len(report.files)} of {counted}.", "bold"))
    if report.modules:
        _say((f"natively:       import {', '.join(report.modules)}", ""))
    if report.native:
        _say((f"                pip install {' '.join(report.native)}", ""))
    if report.unnamed_encoders:
        _say(("                and the distributions of the encoders that are not named where they are used", ""))
    if report.staying:
        count = len(report.staying)
        _say((f"                {count} use{'' if count == 1 else 's'} without a native form: see the notes", ""))
    if report.compat:
        _say((f"imports alone:  pip install {' '.join(report.compat)}", ""))
    if report.imports and not any(file.changes for file in report.files):
        _say(("The imports are already moved: nothing to rewrite.", ""))


def _say(*parts: tuple[str, str]) -> None:
    if is_terminal():
        stdout().print(Text.assemble(*parts), soft_wrap=True)
    else:
        typer.echo("".join(text for text, _ in parts))


def _printable(text: str) -> str:
    """Text whose control characters are written as Python would, so that a terminal does not obey them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
