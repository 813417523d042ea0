"""Where output goes: results to stdout, progress and errors to stderr.

Consoles are made when they are needed, so that they write to the streams of that moment.
"""

from __future__ import annotations

import sys
from typing import TextIO

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from smp_core.errors import readable

Rows = list[tuple[str, str]]
"""Labels and values; a row without a value says nothing and is left out."""


def stdout() -> Console:
    """The console for results."""
    return Console(highlight=False)


def stderr() -> Console:
    """The console for progress, notes and errors."""
    return Console(stderr=True, highlight=False)


def is_terminal() -> bool:
    """Whether a person reads stdout. Otherwise it is a pipe or a file, and gets plain lines; or it is closed."""
    # Python has no stream where the shell has closed it (``>&-``), whatever the type says.
    stream: TextIO | None = sys.stdout
    return stream is not None and stream.isatty()


def print_line(text: str) -> None:
    """A line on stdout; bytes in it that are no text, as names of files may have, are shown as replaced."""
    typer.echo(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def print_error(message: str) -> None:
    """A line on stderr, not wrapped, so that it can be searched for; "error" and "warning" are coloured.

    Control characters, of names of files say, are written out.
    """
    kind, separator, rest = readable(message).partition(": ")
    style = {"error": "bold red", "warning": "bold yellow"}.get(kind, "dim")
    stderr().print(Text.assemble((kind + separator, style), rest), soft_wrap=True)


def print_rows(title: str, rows: Rows) -> None:
    """A title and rows below it: aligned for a terminal, ``label: value`` for a pipe, never cut.

    What a stranger's metadata holds must not act on the terminal: control characters are written out.
    """
    rows = [(readable(label), readable(value)) for label, value in rows if value]
    if not is_terminal():
        typer.echo(title)
        for label, value in rows:
            typer.echo(f"  {label}: {value}")
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        table.add_row(Text(f"  {label}"), Text(value))
    console = stdout()
    console.print(Text(title, style="bold"))
    console.print(table)
