"""The checks of a distribution as one parametrised test function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest

from smp_testing.cases import ArchitectureOptions
from smp_testing.check import BoundCheck
from smp_testing.collection import collect
from smp_testing.declared import declared_by, reasons_of
from smp_testing.expectations import ConformanceError
from smp_testing.hints import hint_for
from smp_testing.outcomes import message_of


def conformance(
    distribution: str,
    *,
    encoders: Iterable[str] | None = None,
    options: Mapping[str, ArchitectureOptions] | None = None,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
    numbers_up_to: int = 50_000_000,
    traced_up_to: int = 25_000_000,
    surgery: Iterable[str] | None = None,
) -> Callable[[BoundCheck], None]:
    """A test function for pytest: one test for each encoder, architecture and check.

    Args:
        distribution, encoders, options, numbers_up_to, traced_up_to, surgery: see `collect`.
        expected_failures: by the name of an encoder, an architecture, an architecture over one kind of encoder
            (``"unet-tokens"``) or the distribution: the checks that it fails, and why, beside those that the
            distribution declares itself. Each becomes a strict ``xfail``, so that one that passes again is noticed.

    Returns:
        The function, to be assigned to a name that pytest collects.

    Raises:
        ValueError: ``expected_failures`` names something that is not checked.
        SmpError: as `collect`.

    >>> test_conformance = conformance("smp-resnet")
    """
    checks = collect(
        distribution,
        encoders=encoders,
        options=options,
        numbers_up_to=numbers_up_to,
        traced_up_to=traced_up_to,
        surgery=surgery,
    )
    declared = reasons_of(checks, declared_by(distribution).expected_failures)
    reasons = {**declared, **_reasons(checks, expected_failures or {})}

    @pytest.mark.parametrize("check", [_parameter(check, reasons.get(check.id)) for check in checks])
    def test_conformance(check: BoundCheck) -> None:
        __tracebackhide__ = True  # the check is the place to look at
        error = check.failure()
        if error is None:
            return
        # A declared failure is one, whatever explains it.
        earlier = None if check.id in reasons else check.explanation()
        if earlier is not None:
            pytest.skip(f"{check.id} fails as {earlier.id} does; see there")
        hint = hint_for(check, error)
        message = message_of(check, error) + (f"\nhint: {hint}" if hint else "")
        raise ConformanceError(message, hint=hint) from error

    return test_conformance


def _parameter(check: BoundCheck, reason: str | None) -> object:
    marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason is not None else []
    return pytest.param(check, id=check.id, marks=marks)


def _reasons(checks: Sequence[BoundCheck], expected_failures: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Id of a check to the reason of its expected failure."""
    reasons: dict[str, str] = {}
    for owner, failures in expected_failures.items():
        own = [check for check in checks if owner in (check.case.name, check.case.spec_name)]
        if not own:
            known = ", ".join(dict.fromkeys(check.case.name for check in checks))
            raise ValueError(f"expected_failures: nothing named {owner!r} is checked; there are {known}")
        for name, reason in failures.items():
            matching = [check.id for check in own if check.check.name == name]
            if not matching:
                known = ", ".join(dict.fromkeys(check.check.name for check in own))
                raise ValueError(f"expected_failures: {owner!r} has no check {name!r}; it has {known}")
            if not isinstance(reason, str) or not reason.strip():
                raise ValueError(f"expected_failures: {owner!r}, {name!r}: give the reason as a text, got {reason!r}")
            reasons.update(dict.fromkeys(matching, reason))
    return reasons
