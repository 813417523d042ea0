"""From the name of a distribution to the checks that its plugins must pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from smp_core._specs.registered import normalise
from smp_core.errors import MissingPluginError, PluginError, RegistryError
from smp_core.plugin import ArchitectureSpec, CommandSpec, EncoderSpec, NeckSpec, WeightsSpec
from smp_core.registry import (
    PluginRecord,
    Registered,
    describe,
    list_architectures,
    list_encoders,
    list_necks,
    plugins,
    resolve_architecture,
    resolve_command,
    resolve_encoder,
    resolve_neck,
)
from smp_testing.cases import ArchitectureCase, ArchitectureOptions, Case, EncoderCase, PluginCase
from smp_testing.check import BoundCheck, Check
from smp_testing.checks import CHECKS
from smp_testing.declared import declared_by, unknown_names
from smp_testing.encoders import PYRAMIDS, TOKENS
from smp_testing.necks import neck_cases


def collect(
    distribution: str,
    *,
    encoders: Iterable[str] | None = None,
    options: Mapping[str, ArchitectureOptions] | None = None,
    numbers_up_to: int = 50_000_000,
    traced_up_to: int = 25_000_000,
    surgery: Iterable[str] | None = None,
) -> list[BoundCheck]:
    """Every check that applies to what a distribution registers.

    Args:
        distribution: its name, installed.
        encoders: names of an open family that this distribution resolves, to be checked beside those that it lists;
            None for those that it declares (`smp_core.plugin.ConformanceSpec`).
        options: by the name of an architecture, the options of every model that is built: a mapping, or a function
            that gives one for an encoder. They replace those that the distribution declares.
        numbers_up_to: an encoder whose spec declares more parameters is built on the meta device only, and the checks
            that compute are left out.
        traced_up_to: an encoder whose spec declares more parameters is not compiled, exported or scripted, which takes
            minutes for deep ones; choose it so that each kind of block is in an encoder below it.
        surgery: the names of encoders, architectures (also over one kind of encoder) and necks of which is checked what
            people do to built modules; None for all that have numbers.

    Returns:
        The checks of the distribution first, then those of each encoder, architecture and neck.

    Raises:
        MissingPluginError: no plugin of that distribution is installed.
        PluginError: one is broken or disabled.
        RegistryError: an entry of ``encoders`` means nothing.
        ValueError: an entry of ``surgery`` means nothing.
    """
    records = _usable(distribution)
    name = records[0].distribution
    declared = declared_by(name)
    named = declared.encoders if encoders is None else encoders
    chosen = {**declared.options, **(options or {})}
    found_encoders = [resolve_encoder(item) for item in list_encoders(provider=name)]
    found_encoders += [resolve_encoder(item if "/" in item else f"{name}/{item}") for item in named]
    found_architectures = [resolve_architecture(item) for item in list_architectures(provider=name)]
    found_necks = [resolve_neck(item) for item in list_necks(provider=name)]
    cases: list[Case] = []
    for item in found_encoders:
        size = item.spec.num_parameters or 0
        cases.append(EncoderCase(item, has_numbers=size <= numbers_up_to, is_traced=size <= traced_up_to))
    for architecture in found_architectures:
        cases.extend(_architecture_cases(architecture, chosen.get(architecture.spec.name, {})))
    for neck in found_necks:
        cases.extend(neck_cases(neck))
    wrong = unknown_names(declared.expected_failures, [PluginCase(name, ()), *cases], {item.name for item in CHECKS})
    licences = _licences([*found_encoders, *found_architectures, *found_necks])
    commands = tuple(resolve_command(f"{name}/{item}") for record in records for item in record.commands)
    modules = _modules(found_encoders, found_architectures, found_necks, commands)
    cases.insert(0, PluginCase(name, modules, wrong_declarations=wrong, licences=licences, commands=commands))
    operated = {*surgery} if surgery is not None else {name for case in cases for name in (case.name, case.spec_name)}
    unknown = operated - {name for case in cases for name in (case.name, case.spec_name)}
    if unknown:
        known = ", ".join(dict.fromkeys(case.name for case in cases))
        raise ValueError(f"surgery: nothing named {', '.join(sorted(unknown))} is checked; there are {known}")

    def wants(case: Case, check: Check) -> bool:
        return not check.surgery or case.name in operated or case.spec_name in operated

    bound: list[BoundCheck] = []
    mains: dict[tuple[str, str], BoundCheck] = {}  # of a spec, by the name of the check
    of_plugin: dict[str, BoundCheck] = {}
    for case in cases:
        siblings = {**of_plugin}
        for check in CHECKS:
            if wants(case, check) and check.takes(case):
                main = mains.get((case.spec_name, check.name)) if not case.is_first else None
                siblings[check.name] = BoundCheck(case, check, siblings, main)
                mains.setdefault((case.spec_name, check.name), siblings[check.name])
        bound.extend(item for item in siblings.values() if item.case is case)
        of_plugin = of_plugin or siblings  # the first case
    return bound


def _usable(distribution: str) -> list[PluginRecord]:
    """The plugins of a distribution, each of which must have loaded."""
    wanted = normalise(distribution)
    records = [record for record in plugins() if normalise(record.distribution) == wanted]
    if not records or any(record.status != "ok" and record.version == "not installed" for record in records):
        known = ", ".join(record.distribution for record in plugins()) or "none"
        try:
            remedy = f"it is the name of a model of {describe(distribution).distribution}: give that"
        except RegistryError:
            remedy = "install it first, for example with pip install -e ."
        raise MissingPluginError(
            f"no plugin of the distribution {distribution!r} is installed, installed are: {known}; {remedy}"
        )
    failed = [record.error or "" for record in records if record.status in ("broken", "disabled")]
    if failed:
        raise PluginError("; ".join(failed))
    return records


def _modules(
    encoders: Sequence[Registered[EncoderSpec]],
    architectures: Sequence[Registered[ArchitectureSpec]],
    necks: Sequence[Registered[NeckSpec]],
    commands: Sequence[Registered[CommandSpec]],
) -> tuple[str, ...]:
    targets = [item.spec.target for item in encoders] + [item.spec.target for item in architectures]
    targets += [item.spec.target for item in necks] + [item.spec.target for item in commands]
    targets += [weights.convert for item in encoders for weights in item.spec.weights.values() if weights.convert]
    return tuple(dict.fromkeys(target.partition(":")[0] for target in targets))


def _licences(found: Sequence[Registered[Any]]) -> tuple[tuple[str, str], ...]:
    """What is licensed, and how, each licence once."""
    stated = {item.spec.license: item.spec.name for item in reversed(found) if item.spec.license}
    for item in found:
        weights: Mapping[str, WeightsSpec] = getattr(item.spec, "weights", {})
        for name, weight in weights.items():
            if weight.license:
                stated.setdefault(weight.license, f"weights {name!r} of {item.spec.name}")
    return tuple((what, licence) for licence, what in stated.items())


def _architecture_cases(
    architecture: Registered[ArchitectureSpec], options: ArchitectureOptions
) -> Iterator[ArchitectureCase]:
    """One case for each kind of encoder that the architecture can have."""
    spec = architecture.spec
    kinds = (TOKENS,) if spec.tokens else (*PYRAMIDS, TOKENS) if spec.accepts_tokens else PYRAMIDS
    fitting = [kind for kind in kinds if kind.min_depth <= spec.max_depth]
    for kind in fitting:
        yield ArchitectureCase(architecture, kind, is_main=kind is fitting[0], options=options)
