"""All checks of an installed plugin, without pytest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from smp_core._specs.registered import normalise
from smp_core.errors import PluginError
from smp_core.registry import plugins
from smp_testing import probe
from smp_testing.report import CheckResult, PluginReport

OnResult: TypeAlias = Callable[[CheckResult], None]

KINDS = ("plugin", "encoder", "architecture", "neck")
"""What there is to check: the distribution itself, and what it registers."""


def check_plugin(
    name: str,
    *,
    kinds: Iterable[str] | None = None,
    encoders: Iterable[str] | None = None,
    numbers_up_to: int = 50_000_000,
    traced_up_to: int = 25_000_000,
    surgery: Iterable[str] | None = None,
    on_result: OnResult | None = None,
) -> PluginReport:
    """Run every check that applies to what an installed distribution registers.

    Args:
        name: of the distribution.
        kinds: of `KINDS` those that are checked; None for all.
        encoders, numbers_up_to, traced_up_to, surgery: see `smp_testing.collect`.
        on_result: called with each result as it comes, which is not the order of the report.

    Returns:
        The results, and whether the plugin passes. A plugin that cannot be loaded has one result.

    Raises:
        MissingPluginError: no plugin of that distribution is installed.
        RegistryError: an entry of ``encoders`` means nothing.
        ValueError: an entry of ``kinds`` or ``surgery`` means nothing.
    """
    wanted = KINDS if kinds is None else tuple(kinds)
    unknown = [kind for kind in wanted if kind not in KINDS]
    if unknown:
        raise ValueError(f"kinds: expected some of {', '.join(KINDS)}, got {', '.join(map(repr, unknown))}")
    start = time.perf_counter()
    probe.prepare()  # a process that imports torch, which takes as long as many checks do
    results = _results(
        name,
        wanted,
        on_result or (lambda _: None),
        {"encoders": encoders, "numbers_up_to": numbers_up_to, "traced_up_to": traced_up_to, "surgery": surgery},
    )
    return PluginReport(
        plugin=_spelling(name), version=_version(name), checks=results, seconds=time.perf_counter() - start
    )


def _results(
    name: str, kinds: tuple[str, ...], on_result: OnResult, arguments: Mapping[str, Any]
) -> tuple[CheckResult, ...]:
    # Found here: until now nothing has needed torch, which takes seconds to import.
    import torch

    from smp_testing.collection import collect
    from smp_testing.declared import declared_by, reasons_of
    from smp_testing.outcomes import result_of

    try:
        checks = [check for check in collect(name, **arguments) if check.case.category in kinds]
        reasons = reasons_of(checks, declared_by(name).expected_failures)
    except (PluginError, SystemExit, GeneratorExit) as error:  # the latter two of a hook
        message = str(error) if isinstance(error, PluginError) else f"a hook of it raised {error!r}"
        broken = CheckResult(
            component=_spelling(name), check="plugin_module_is_light", status="failed", message=message
        )
        on_result(broken)
        return (broken,)
    results: dict[int, CheckResult] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of images so small that several threads wait for each other, beside the other process
    try:
        # What starts processes comes last: the one that they are made of is getting ready meanwhile.
        for index in sorted(range(len(checks)), key=lambda index: checks[index].check.starts_processes):
            results[index] = result_of(checks[index], reasons.get(checks[index].id))
            on_result(results[index])
    finally:
        torch.set_num_threads(threads)
    return tuple(results[index] for index in range(len(checks)))


def _records(name: str) -> list[tuple[str, str]]:
    return [(item.distribution, item.version) for item in plugins() if normalise(item.distribution) == normalise(name)]


def _spelling(name: str) -> str:
    return next((spelling for spelling, _ in _records(name)), name)


def _version(name: str) -> str:
    return next((version for _, version in _records(name)), "")
