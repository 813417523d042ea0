"""What becomes of a check: it passes, fails, was expected to fail, or would only repeat what another one found."""

from __future__ import annotations

import time

from smp_core.errors import SmpError
from smp_testing.check import BoundCheck
from smp_testing.expectations import ConformanceError, NotApplicable, beginning
from smp_testing.hints import hint_for
from smp_testing.report import CheckResult, Status


def result_of(check: BoundCheck, reason: str | None = None) -> CheckResult:
    """Run a check, unless that was done before.

    Args:
        check: the check.
        reason: of its declared failure; None where none is declared.
    """
    start = time.perf_counter()
    error = check.failure()
    status: Status
    if reason is not None:
        status = "unexpected_pass" if error is None else "expected_failure"
        message = f"it passes, and its failure is declared ({reason}); remove the entry" if error is None else reason
        hint = ""
    elif error is None:
        status, message, hint = "passed", "", ""
    else:
        earlier = check.explanation()
        status = "failed" if earlier is None else "skipped"
        message = message_of(check, error) if earlier is None else f"which fail as {earlier.id} does"
        hint = hint_for(check, error) if earlier is None else ""
    return CheckResult(
        component=check.case.name,
        check=check.check.name,
        status=status,
        message=message,
        hint=hint,
        seconds=time.perf_counter() - start,
    )


def message_of(check: BoundCheck, error: BaseException) -> str:
    """What came and what was expected, of whatever a check raised."""
    if isinstance(error, NotApplicable):
        return f"{error}: this check was not made, and nothing says why"
    if isinstance(error, ConformanceError):
        return str(error)
    if isinstance(error, SmpError):  # of the core, which says what it expected
        return f"{check.case.name}: {error}"
    required = (check.check.function.__doc__ or "").strip().partition("\n")[0]
    return f"{check.case.name}: {beginning(error)}; expected: {required}"
