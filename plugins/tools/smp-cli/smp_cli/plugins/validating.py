"""``smp plugins validate``: the checks of smp-testing on one installed distribution."""

from __future__ import annotations

import importlib
from typing import Any

import typer

from smp_cli.errors import CliError
from smp_cli.plugins.description import records_of
from smp_cli.plugins.printing import print_json


def validate(name: str, *, as_json: bool) -> None:
    """Check a distribution's plugin and print the report.

    Raises:
        CliError: no plugin is of that distribution; smp-testing is not installed, or is too old.
        Exit: with status 1, where a check failed.
    """
    records_of(name, "validate")
    report = _check_plugin()(name)
    if as_json:
        print_json(report.as_dict())
    else:
        typer.echo(report.summary())
    if not report.passed:
        raise typer.Exit(1)


def _check_plugin() -> Any:
    try:
        testing = importlib.import_module("smp_testing")
    except ModuleNotFoundError as error:
        if error.name != "smp_testing":
            raise
        raise CliError(
            "validating a plugin needs smp-testing, which is not installed; run: pip install smp-testing"
        ) from None
    try:
        return testing.check_plugin
    except AttributeError:
        version = getattr(testing, "__version__", "of an unknown version")
        raise CliError(
            f"validating a plugin needs a newer smp-testing than {version}; run: pip install -U smp-testing"
        ) from None
