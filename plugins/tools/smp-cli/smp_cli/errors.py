"""What goes wrong becomes one clear line on stderr and exit status 1; ``smp --debug`` shows the traceback instead."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import typer

from smp_cli.console import print_error
from smp_core.errors import SmpError
from smp_predict.errors import PredictError

Parameters = ParamSpec("Parameters")


class CliError(Exception):
    """Something that the user can put right; the message says what and how, in one line."""


class Debug:
    """Whether tracebacks are wanted; set by the global option ``--debug`` for the run of a command."""

    on = False


def guarded(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Make a command report its errors and warnings as lines; exceptions that typer itself handles pass through."""

    @functools.wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            with _warnings_as_lines():
                command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except Exception as error:
            if Debug.on:
                raise
            print_error(f"error: {explain(error)}")
            raise typer.Exit(1) from None

    return run


def explain(error: Exception) -> str:
    """An error as a person should read it.

    The messages of smp-core, smp-predict and this package are written for people. The system's name the path and the
    reason. Everything else is unexpected, and says how to learn more.
    """
    if isinstance(error, (CliError, SmpError, PredictError)):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{str(error.filename)!r}: {error.strerror}"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{f': {text}' if text else ''} (smp --debug shows the traceback)"


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show warnings at the end of a command, by their first lines; where in the code they arose is for ``--debug``."""
    with warnings.catch_warnings(record=not Debug.on) as caught:
        try:
            yield
        finally:
            for warning in caught or ():
                lines = str(warning.message).splitlines() or [warning.category.__name__]
                print_error(f"warning: {lines[0]}")
