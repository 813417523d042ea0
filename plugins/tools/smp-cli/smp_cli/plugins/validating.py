"""``smp plugins validate``: the checks of smp-testing on one installed distribution."""

from __future__ import annotations

import typer

from smp_cli.errors import CliError
from smp_cli.plugins.checking import check
from smp_cli.plugins.printing import print_json


def validate(name: str, *, as_json: bool, patience: float) -> None:
    """Check a distribution's plugin and print the report.

    Raises:
        CliError: no plugin is of that distribution; smp-testing is not installed, or is too old; the checks did not
            end.
        Exit: with status 1, where a check failed.
    """
    checked = check(name, patience=patience)
    if as_json:
        print_json(checked.report)
    if checked.problem is not None:
        raise CliError(checked.problem)
    if not as_json:
        typer.echo(checked.summary)
    if not checked.passed:
        raise typer.Exit(1)
