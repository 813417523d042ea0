"""``smp move`` from its arguments to its exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from smp_cli.console import print_error
from smp_cli.errors import CliError
from smp_cli.move.documents import read
from smp_cli.move.finding import find
from smp_cli.move.printing import print_diff, print_failures, print_report
from smp_cli.move.report import FileReport, Report, file_report
from smp_cli.move.sources import UnreadableError
from smp_cli.move.walking import files_of
from smp_cli.move.writing import replace_file


def run_move(paths: Sequence[Path], *, write: bool, show_diff: bool, as_json: bool, yes: bool) -> None:
    """Report on the uses below paths and, where that is wanted, rewrite their imports.

    Args:
        paths: files and folders.
        write: rewrite the imports, after the diff was shown.
        show_diff: show the diff alone.
        as_json: print the report as JSON, and neither prose nor diff.
        yes: write without a question; none is asked either where no person is there to answer.

    Raises:
        CliError: a path does not exist.
        typer.Exit: with status 1, where files could not be read or written; the others are done.
    """
    report = examine(paths)
    if not as_json:
        print_report(report)
        for file in report.files if write or show_diff else ():
            if file.changes:
                print_diff(file)
    if write:
        _write(report, yes=yes)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    print_failures(report)
    if report.failures:
        raise typer.Exit(1)


def examine(paths: Sequence[Path]) -> Report:
    """What the files below paths have of the library, and which of them cannot be read.

    Raises:
        CliError: a path does not exist.
    """
    report = Report()
    for path in files_of(paths):
        report.read += 1
        try:
            document = read(path)
            if document is None:
                continue
            report.failures += [(path, reason) for reason in document.failures]
            report.left += [(path, reason) for reason in document.left]
            found = file_report(document, find(document.code))
        except UnreadableError as error:
            report.failures.append((path, str(error)))
        except OSError as error:
            report.failures.append((path, error.strerror or str(error)))
        else:
            if found.lines:
                report.files.append(found)
    return report


def _write(report: Report, *, yes: bool) -> None:
    changed = [file for file in report.files if file.changes]
    if not changed:
        return
    question = f"Rewrite the imports of {len(changed)} file{'' if len(changed) == 1 else 's'}?"
    if not yes and is_interactive() and not typer.confirm(question, err=True):
        print_error("note: nothing was written")
        return
    for file in changed:
        _replace(report, file)
    if report.written:
        print_error(f"note: rewrote the imports of {len(report.written)} file{'' if len(report.written) == 1 else 's'}")


def _replace(report: Report, file: FileReport) -> None:
    try:
        replace_file(file.path, file.old.encode(), file.new.encode())
    except (CliError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        report.failures.append((file.path, reason or str(error)))
    else:
        report.written.append(file.path)


def is_interactive() -> bool:
    """Whether a person can answer a question."""
    return sys.stdin.isatty()
