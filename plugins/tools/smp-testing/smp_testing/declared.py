"""What a plugin declares of itself for the checks, and what a call of them adds."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from smp_core.plugin import ConformanceSpec
from smp_core.registry import conformance_specs
from smp_testing.cases import ArchitectureOptions, Case
from smp_testing.check import BoundCheck

Reasons = Mapping[str, Mapping[str, str]]
"""By what fails and the name of the check: why."""


@dataclass(frozen=True)
class Declared:
    """What the plugins of a distribution say by the hook ``smp_conformance``, all together.

    Attributes:
        expected_failures, encoders, options: see `smp_core.plugin.ConformanceSpec`.
    """

    expected_failures: Reasons = field(default_factory=dict)
    encoders: tuple[str, ...] = ()
    options: Mapping[str, ArchitectureOptions] = field(default_factory=dict)


def declared_by(distribution: str) -> Declared:
    """Ask the plugins of a distribution.

    Raises:
        PluginError: a hook raised, or returned something else than a `smp_core.plugin.ConformanceSpec`.
    """
    specs: Sequence[ConformanceSpec] = conformance_specs(distribution)
    failures: dict[str, dict[str, str]] = {}
    for spec in specs:
        for owner, reasons in spec.expected_failures.items():
            failures.setdefault(owner, {}).update(reasons)
    return Declared(
        failures,
        tuple(name for spec in specs for name in spec.encoders),
        {name: _options(value) for spec in specs for name, value in spec.options.items()},
    )


def _options(value: Mapping[str, Any] | str) -> ArchitectureOptions:
    if not isinstance(value, str):
        return value

    def of_encoder(encoder: nn.Module) -> Mapping[str, Any]:
        function: Callable[[nn.Module], Mapping[str, Any]] = pkgutil.resolve_name(value)
        return function(encoder)

    return of_encoder


def unknown_names(failures: Reasons, cases: Sequence[Case], checks: Collection[str]) -> tuple[str, ...]:
    """What is wrong with the names in declared failures, one line each; whether a check runs does not matter."""
    known = dict.fromkeys(name for case in cases for name in (case.spec_name, case.name))
    wrong = [
        f"nothing named {owner!r} is checked; there are {', '.join(known)}" for owner in failures if owner not in known
    ]
    wrong += [
        f"{owner!r}: there is no check {name!r}"
        for owner, reasons in failures.items()
        for name in reasons
        if name not in checks
    ]
    return tuple(wrong)


def reasons_of(checks: Sequence[BoundCheck], failures: Reasons) -> dict[str, str]:
    """Id of a check to the reason of its declared failure; what matches nothing is left out."""
    return {
        check.id: reason
        for check in checks
        for owner in dict.fromkeys((check.case.spec_name, check.case.name))
        for name, reason in failures.get(owner, {}).items()
        if name == check.check.name
    }
