"""An encoder, as data."""

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
    are_bands,
    check_about,
    check_former_names,
    is_int,
    is_ints,
    is_keywords,
    is_name,
    is_options,
    is_strides,
    is_target,
)
from smp_core._specs.former import Migration, are_migrations
from smp_core._specs.kinds import OptionKind, are_kinds
from smp_core._specs.weights import WeightsSpec

# What the core gives to every encoder's target by itself.
_GIVEN = ("in_channels", "depth", "output_stride", "output_indices")
_OPTIONS_FORM = f"a mapping of keyword names, {', '.join(_GIVEN)} excepted, to values"
_KEYWORDS_FORM = f"a tuple of keyword names, {', '.join(_GIVEN)} excepted"


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(Frozen):
    """What an encoder is called, what builds it, and what it can do.

    Attributes:
        name: what users write.
        target: ``"package.module:Class"``; called as
            ``Class(**options, in_channels=..., depth=..., output_stride=...)`` when a model is built, and returns an
            `smp_core.Encoder`. That of a ``tokens`` encoder takes ``output_indices=...`` besides: as many ints as
            ``depth``, the transformer blocks whose outputs are the features, negative ones counted from the end; it is
            passed where a user chooses them, and an index beyond the blocks is an `OptionError`.
        options: further keyword arguments of the target.
        user_options: names of keyword arguments of the target that a user may choose with ``encoder_options={...}``;
            the target judges their values, by an `OptionError`.
        option_kinds: what values these take, by name (`Whole`, `Number`, `Flag`, `OneOf`, ...): any other is an error
            when a blueprint is made.
        out_channels: channels of each feature at full depth for an input of ``in_channels``, highest resolution first.
        reductions: input size / feature size of each feature, same length; strictly increasing unless ``tokens``.
        in_channels: channels of the input that it is made for; what a user gets who asks for no other number.
        bands: names of these channels, in order, as ``("B02", "B03", "B04")``; empty where they have none. Its weights
            are fitted to the bands that a user asks for by their names.
        weights: name to `WeightsSpec`.
            A set is of ``in_channels`` channels, unless it names its own (`WeightsSpec.bands`).
        default_weights: the name that ``encoder_weights=True`` stands for; None where there is one set alone, or none.
        dilation: output strides (8, 16) that its stages can be dilated to.
        tokens: a plain transformer that returns ``(features, prefix_tokens)``.
        min_depth, max_depth: a depth d keeps the features with a reduction of at most 2**d
            (for ``tokens``: d features).
        scriptable: whether ``torch.jit.script`` takes it.
        license: SPDX identifier of the code.
        paper: where it was published.
        summary: one line for people.
        num_parameters: trainable parameters at full depth for an input of ``in_channels``.
        former_names: names by which it was known; they still mean it.
        migrations: for checkpoints of older versions of the plugin, whose encoders named their parameters otherwise.

    Raises:
        InvalidSpecError: a field is wrong; lists every such field.
    """

    name: str
    target: str
    out_channels: tuple[int, ...]
    reductions: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    user_options: tuple[str, ...] = ()
    option_kinds: Mapping[str, OptionKind] = field(default_factory=lambda: EMPTY)
    in_channels: int = 3
    bands: tuple[str, ...] = ()
    weights: Mapping[str, WeightsSpec] = field(default_factory=lambda: EMPTY)
    default_weights: str | None = None
    dilation: tuple[int, ...] = ()
    tokens: bool = False
    min_depth: int = 1
    max_depth: int = 5
    scriptable: bool = True
    license: str | None = None
    paper: str | None = None
    summary: str = ""
    num_parameters: int | None = None
    former_names: tuple[str, ...] = ()
    migrations: tuple[Migration, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, f"EncoderSpec {self.name!r}")
        check.require(is_name(self.name), "name", NAME_FORM)
        check.require(is_target(self.target), "target", TARGET_FORM)
        check.require(is_options(self.options, _GIVEN), "options", _OPTIONS_FORM)
        is_choice = is_keywords(self.user_options, _GIVEN)
        check.require(is_choice, "user_options", _KEYWORDS_FORM)
        of_options = are_kinds(self.option_kinds) and (not is_choice or {*self.option_kinds} <= {*self.user_options})
        check.require(of_options, "option_kinds", "a mapping of names among user_options to OptionKind")
        self._check_pyramid(check)
        check.require(is_int(self.in_channels), "in_channels", "a positive int")
        named = are_bands(self.bands) and len(self.bands) in (0, self.in_channels)
        check.require(named, "bands", f"{self.in_channels} names of channels, each once, or none")
        is_weights = isinstance(self.weights, Mapping) and all(
            is_name(key) and isinstance(value, WeightsSpec) for key, value in self.weights.items()
        )
        check.require(is_weights, "weights", "a mapping of names to WeightsSpec")
        if is_weights:
            self._check_weights(check)
        check.require(is_strides(self.dilation), "dilation", STRIDE_FORM)
        check.require(isinstance(self.tokens, bool), "tokens", "True or False")
        check.require(isinstance(self.scriptable, bool), "scriptable", "True or False")
        check.require(is_int(self.min_depth), "min_depth", "a positive int")
        check.require(is_int(self.max_depth), "max_depth", "a positive int")
        if is_int(self.min_depth) and is_int(self.max_depth):
            check.require(self.min_depth <= self.max_depth, "min_depth", f"at most max_depth ({self.max_depth})")
            self._check_depths(check)
        check.require(self.num_parameters is None or is_int(self.num_parameters), "num_parameters", "an int or None")
        check_former_names(check, self)
        check.require(are_migrations(self.migrations), "migrations", "a tuple of Migration")
        check_about(check, self)
        check.raise_if_any()

    def features_at_depth(self, depth: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """``(out_channels, reductions)`` of the encoder truncated to a depth, for the native input and no dilation."""
        if self.tokens:
            return self.out_channels[:depth], self.reductions[:depth]
        kept = [
            (channels, reduction)
            for channels, reduction in zip(self.out_channels, self.reductions, strict=True)
            if (reduction - 1).bit_length() <= depth  # at most 2**depth, which may be huge
        ]
        return tuple(channels for channels, _ in kept), tuple(reduction for _, reduction in kept)

    def trained_bands(self, weights: str | None) -> tuple[str, ...]:
        """Names of the channels that a weight set was trained on; None means the encoder's own; empty: nobody says."""
        if weights is None:
            return self.bands
        chosen = self.weights[weights]
        return chosen.bands or (self.bands if len(chosen.mean) == len(self.bands) else ())

    def dilates(self, depth: int, output_stride: int | None) -> bool:
        """Whether an output stride asks for dilation: not where the features of this depth never get that deep."""
        if output_stride is None:
            return False
        return output_stride < max(self.features_at_depth(depth)[1], default=1)

    def _check_weights(self, check: Violations) -> None:
        if self.default_weights is None and len(self.weights) == 1:
            object.__setattr__(self, "default_weights", next(iter(self.weights)))
        known = "None, as there are no weights"
        if self.weights:
            known = f"the one of {', '.join(self.weights)} that encoder_weights=True stands for"
        ok = self.default_weights in [*self.weights] if self.weights else self.default_weights is None
        check.require(ok, "default_weights", known)
        for name, weights in self.weights.items():
            if not weights.bands and len(weights.mean) != self.in_channels and is_int(self.in_channels):
                count = f"{self.in_channels} number{'s' if self.in_channels > 1 else ''}, one for each of in_channels"
                check.require_within(
                    False, "weights", f"{name!r}, field 'mean'", f"{count}; or bands, if it takes others", weights.mean
                )

    def _check_pyramid(self, check: Violations) -> None:
        both = ("out_channels", "reductions")
        right = [is_ints(getattr(self, name)) and bool(getattr(self, name)) for name in both]
        for name, ok in zip(both, right, strict=True):
            check.require(ok, name, "a tuple of positive ints")
        if not all(right):
            return  # an empty one has no number of entries that the other must have
        count = len(self.out_channels)
        check.require(len(self.reductions) == count, "reductions", f"as many ints as out_channels has ({count})")
        increasing = sorted(self.reductions)
        if self.tokens is True:
            check.require([*self.reductions] == increasing, "reductions", "ints that never decrease")
        elif self.tokens is False:
            strictly = [*self.reductions] == increasing and len({*increasing}) == len(increasing)
            check.require(strictly, "reductions", "strictly increasing ints")

    def _check_depths(self, check: Violations) -> None:
        if not (is_ints(self.reductions) and self.reductions):
            return
        if self.tokens is True:
            count = len(self.reductions)
            check.require(self.max_depth <= count, "max_depth", f"at most the number of features ({count})")
        elif self.tokens is False:
            least = (self.reductions[0] - 1).bit_length()
            keeps = f"a depth that keeps the first feature, of reduction {self.reductions[0]}: at least {least}"
            check.require(self.min_depth >= least, "min_depth", keeps)
