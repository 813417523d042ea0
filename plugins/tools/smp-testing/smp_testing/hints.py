"""What to write where a check fails."""

from __future__ import annotations

from smp_testing.check import BoundCheck
from smp_testing.expectations import NotApplicable


def hint_for(check: BoundCheck, error: BaseException) -> str:
    """What the author may write, for what a check raised; empty where the message says it all."""
    own: str = getattr(error, "hint", "")
    if isinstance(error, NotApplicable):
        return _declare(check)
    if isinstance(error, SystemExit):
        return "raise an error that says what is wrong; sys.exit ends the program of whoever uses the plugin"
    return own


def _declare(check: BoundCheck) -> str:
    entry = {check.case.spec_name: {check.check.name: "<why>"}}
    return (
        "give it what is missing, or say in the plugin module why it has none:\n"
        "@hookimpl\n"
        "def smp_conformance():\n"
        f"    return ConformanceSpec(expected_failures={entry})"
    )
