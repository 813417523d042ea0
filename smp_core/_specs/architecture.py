"""An architecture, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smp_core._specs.checks import (
    EMPTY,
    NAME_FORM,
    STRIDE_FORM,
    TARGET_FORM,
    Frozen,
    Violations,
    check_about,
    check_former_names,
    is_int,
    is_ints,
    is_name,
    is_options,
    is_strides,
    is_target,
)
from smp_core._specs.former import FormerOption, Migration, are_migrations
from smp_core._specs.kinds import OptionKind, are_kinds
from smp_core.errors import OptionError

# What the core gives to every architecture's target by itself.
_GIVEN = ("classes", "activation", "aux_params")
_ARGUMENTS_FORM = f"a mapping of keyword names, the options and {', '.join(_GIVEN)} excepted, to values"
_OF_ENCODER = ("in_channels", "encoder_depth", "encoder_output_stride", "encoder_output_indices")


@dataclass(frozen=True, kw_only=True)
class ArchitectureSpec(Frozen):
    """What an architecture is called, what builds it, and what it needs of an encoder.

    Attributes:
        name: what users write.
        class_name: the class name that checkpoints carry (``"Unet"``).
        target: ``"package.module:Class"``; called as
            ``Class(encoder, classes=..., activation=..., aux_params=..., **options)`` with a built encoder, and returns
            an `smp_core.SegmentationModel`. Its keyword-only parameters are the architecture's options.
        arguments: further keyword arguments of the target, which no user chooses and which are none of its options:
            what differs between architectures that share a target, as those of an open family.
        default_depth, min_depth, max_depth: encoder depth.
        dilation: output strides that it may ask of the encoder, its default first; empty where it never asks.
        tokens: needs an encoder that returns prefix tokens.
        accepts_tokens: takes such an encoder, too, without a neck between; an architecture that needs it does.
        pyramid: needs features of strictly increasing reduction.
        requires: reductions that its decoder cannot do without.
        scriptable: whether ``torch.jit.script`` takes the model (with a scriptable encoder).
        options: names and defaults of the architecture's own options, exactly those of the target's signature (compared
            when a model is built), so that a `Blueprint` is checked and complete without importing torch. None reads
            them off the signature, which imports the target.
        option_kinds: what values options take, by name (`Whole`, `Wholes`, `Number`, `Flag`, `OneOf`, `NormKind`): any
            other is an error when a blueprint is made. Values of options that are not named are the target's to judge.
        options_per_level: options that hold a value for each level, of which a smaller depth uses the first ones.
        former_options: option names of older versions, and what they mean now.
        former_names: names, and class names in checkpoints, by which it was known; they still mean it.
        migrations: for checkpoints of older versions of the plugin, whose models named their parameters otherwise; the
            encoder's parameters excepted, which are the encoder's affair.
        license: SPDX identifier of the code.
        paper: where it was published.
        summary: one line for people.

    Raises:
        InvalidSpecError: a field is wrong; lists every such field.
    """

    name: str
    class_name: str
    target: str
    arguments: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    default_depth: int = 5
    min_depth: int = 3
    max_depth: int = 5
    dilation: tuple[int, ...] = ()
    tokens: bool = False
    accepts_tokens: bool = False
    pyramid: bool = True
    requires: tuple[int, ...] = ()
    scriptable: bool = True
    options: Mapping[str, Any] | None = None
    option_kinds: Mapping[str, OptionKind] = field(default_factory=lambda: EMPTY)
    options_per_level: tuple[str, ...] = ()
    former_options: Mapping[str, FormerOption] = field(default_factory=lambda: EMPTY)
    former_names: tuple[str, ...] = ()
    migrations: tuple[Migration, ...] = ()
    license: str | None = None
    paper: str | None = None
    summary: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, f"ArchitectureSpec {self.name!r}")
        check.require(is_name(self.name), "name", NAME_FORM)
        is_class = isinstance(self.class_name, str) and self.class_name.isidentifier()
        check.require(is_class, "class_name", "the name of a class")
        check.require(is_target(self.target), "target", TARGET_FORM)
        chosen = self.options if isinstance(self.options, Mapping) else {}
        check.require(is_options(self.arguments, (*_GIVEN, *chosen)), "arguments", _ARGUMENTS_FORM)
        depths = ("min_depth", "default_depth", "max_depth")
        for name in depths:
            check.require(is_int(getattr(self, name)), name, "a positive int")
        if all(is_int(getattr(self, name)) for name in depths):
            in_order = self.min_depth <= self.default_depth <= self.max_depth
            check.require(
                in_order, "default_depth", f"between min_depth and max_depth ({self.min_depth}..{self.max_depth})"
            )
        check.require(is_strides(self.dilation), "dilation", STRIDE_FORM)
        for flag in ("tokens", "accepts_tokens", "pyramid", "scriptable"):
            check.require(isinstance(getattr(self, flag), bool), flag, "True or False")
        check.require(not (self.tokens is True and self.pyramid is True), "pyramid", "False where tokens is True")
        check.require(is_ints(self.requires), "requires", "a tuple of positive ints")
        no_pyramid = not (self.accepts_tokens is True and self.pyramid is True)
        check.require(no_pyramid, "pyramid", "False where accepts_tokens is True")
        no_options = self.options is None or is_options(self.options, _GIVEN)
        check.require(
            no_options, "options", "a mapping of option names to defaults, or None to read them off the target"
        )
        check.require(are_kinds(self.option_kinds), "option_kinds", "a mapping of option names to OptionKind")
        if are_kinds(self.option_kinds) and no_options:
            wrong = _wrong_kinds(self.option_kinds, self.options or {})
            check.require(
                not wrong, "option_kinds", f"kinds of options that there are, and that take their defaults{wrong}"
            )
        per_level = isinstance(self.options_per_level, tuple) and {*self.options_per_level} <= {*(self.options or ())}
        check.require(per_level, "options_per_level", "a tuple of names among the options")
        is_former = isinstance(self.former_options, Mapping) and all(
            isinstance(item, FormerOption) for item in self.former_options.values()
        )
        check.require(is_former, "former_options", "a mapping of option names to FormerOption")
        if is_former and no_options and self.options is not None:
            known = (*self.options, *_GIVEN, *_OF_ENCODER)
            lost = [item.now for item in self.former_options.values() if item.now not in known]
            check.require(not lost, "former_options", f"options that there are now: {', '.join(known)}")
        check_former_names(check, self)
        check.require(are_migrations(self.migrations), "migrations", "a tuple of Migration")
        check_about(check, self)
        check.raise_if_any()


def _wrong_kinds(kinds: Mapping[str, OptionKind], options: Mapping[str, Any]) -> str:
    """Which kinds do not fit the options, as the end of a sentence; empty where all do."""
    found = [name for name in kinds if name not in options]
    for name, kind in kinds.items():
        if name in options:
            try:
                kind.check(name, options[name])
            except OptionError as error:
                found.append(str(error))
    return f" ({'; '.join(found)})" if found else ""
