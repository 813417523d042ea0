"""A neck, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smp_core._specs.checks import (
    EMPTY,
    NAME_FORM,
    TARGET_FORM,
    Frozen,
    Violations,
    check_about,
    check_former_names,
    is_ints,
    is_name,
    is_options,
    is_target,
)
from smp_core._specs.former import Migration, are_migrations

# What the core gives to every neck's target by itself.
_GIVEN = ("out_channels", "reductions", "tokens", "output_stride")


@dataclass(frozen=True, kw_only=True)
class NeckSpec(Frozen):
    """What a neck is called, what builds it, and which pyramid it makes.

    Attributes:
        name: what users write.
        target: ``"package.module:Class"``; called as ``Class(out_channels=..., reductions=..., tokens=..., **options)``
            with those of the built encoder, and returns a module with ``out_channels`` and ``reductions`` of its own
            whose ``forward(features)`` takes the encoder's features, without prefix tokens, and returns a list of
            tensors. With ``output_stride=...`` besides where the architecture wants no level of a larger reduction;
            such levels are then neither built nor returned. A level of reduction R has, of an input of H rows, at
            least ceil(H / R) rows; what it has beyond is cropped.
        options: further keyword arguments of the target.
        reductions: of the pyramid that it makes, strictly increasing; whatever it is given.
        tokens: whether it takes the features of a plain transformer, all of one reduction.
        pyramid: whether it takes a feature pyramid.
        default: whether it is chosen, where an encoder does not have what an architecture needs and the user names no
            neck; of several such necks that fit, a first-party one.
        scriptable: whether ``torch.jit.script`` takes it.
        license: SPDX identifier of the code.
        paper: where it was published.
        summary: one line for people.
        former_names: names by which it was known; they still mean it.
        migrations: for checkpoints of older versions of the plugin, whose necks named their parameters otherwise.

    Raises:
        InvalidSpecError: a field is wrong; lists every such field.
    """

    name: str
    target: str
    reductions: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    tokens: bool = True
    pyramid: bool = False
    default: bool = False
    scriptable: bool = True
    license: str | None = None
    paper: str | None = None
    summary: str = ""
    former_names: tuple[str, ...] = ()
    migrations: tuple[Migration, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, f"NeckSpec {self.name!r}")
        check.require(is_name(self.name), "name", NAME_FORM)
        check.require(is_target(self.target), "target", TARGET_FORM)
        options_form = f"a mapping of keyword names, {', '.join(_GIVEN)} excepted, to values"
        check.require(is_options(self.options, _GIVEN), "options", options_form)
        increasing = is_ints(self.reductions) and self.reductions and [*self.reductions] == sorted({*self.reductions})
        check.require(increasing, "reductions", "strictly increasing positive ints")
        for flag in ("tokens", "pyramid", "default", "scriptable"):
            check.require(isinstance(getattr(self, flag), bool), flag, "True or False")
        check.require(self.tokens or self.pyramid, "tokens", "True, or pyramid=True: a neck takes something")
        check_former_names(check, self)
        check.require(are_migrations(self.migrations), "migrations", "a tuple of Migration")
        check_about(check, self)
        check.raise_if_any()
