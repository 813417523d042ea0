"""Comparing what an architecture needs with what an encoder declares, before anything is built."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from smp_core.blueprints.request import Request
from smp_core.errors import CreationError, IncompatibleError, OptionError
from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec


class Compatibility(NamedTuple):
    """Whether an architecture takes an encoder. True or false in a condition.

    Attributes:
        ok: whether it does.
        reasons: what the encoder lacks, one sentence each; empty where ``ok``.
    """

    ok: bool
    reasons: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "yes" if self.ok else "no: " + "; ".join(self.reasons)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is asked of the encoder of a model to build.

    Attributes:
        depth: how many levels, or features of a token encoder.
        output_stride: None where none is asked.
        output_indices: the blocks of a token encoder whose outputs are the features; None leaves that to the encoder.
    """

    depth: int
    output_stride: int | None
    output_indices: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.depth, int) or isinstance(self.depth, bool):
            raise OptionError(f"the encoder depth must be an int, got {self.depth!r}")
        if not isinstance(self.output_stride, (int, type(None))):
            raise OptionError(f"the output stride must be an int or None, got {self.output_stride!r}")
        if not _is_indices(self.output_indices):
            raise OptionError(f"the output indices must be a sequence of ints or None, got {self.output_indices!r}")


def _is_indices(value: object) -> bool:
    return value is None or (isinstance(value, tuple) and bool(value) and all(type(item) is int for item in value))


def as_indices(value: Sequence[int] | None) -> tuple[int, ...] | None:
    """Indices as `Choice` holds them; what is no sequence is left for it to refuse."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        return value  # type: ignore[return-value]
    return tuple(map(as_int, value))


def as_int(value: Any) -> Any:
    """An integer of any kind (NumPy's too) as an int; anything else as it is, for `Choice` to refuse."""
    try:
        return value if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return value


def choose(
    architecture: ArchitectureSpec,
    encoder: EncoderSpec,
    depth: int | None,
    output_stride: int | None,
    output_indices: Sequence[int] | None = None,
    neck: NeckSpec | None = None,
) -> Choice:
    """Fill in what the user left open: the architecture's defaults, held within the encoder's depths.

    Under a neck: one feature of a plain transformer for each level, or the pyramid down to where the neck's goes.
    """
    indices, depth, output_stride = as_indices(output_indices), as_int(depth), as_int(output_stride)
    if output_stride is None and architecture.dilation:
        output_stride = architecture.dilation[0]
    if depth is None and isinstance(indices, tuple):
        depth = len(indices)
    if depth is None:
        wanted = architecture.default_depth
        if neck is not None:
            levels = neck_levels(architecture, neck, output_stride)
            wanted = len(levels) if encoder.tokens else (max(levels, default=1) - 1).bit_length()
        depth = min(max(wanted, encoder.min_depth), encoder.max_depth)
    return Choice(depth=depth, output_stride=output_stride, output_indices=indices)


def settle(
    architecture: ArchitectureSpec, encoder: EncoderSpec, request: Request, neck: NeckSpec | None
) -> tuple[Choice, list[CreationError]]:
    """What is asked of the encoder, and what keeps the parts from being built so."""
    depth, stride, indices = request.encoder_depth, request.encoder_output_stride, request.encoder_output_indices
    try:
        choice = choose(architecture, encoder, depth, stride, indices, neck)
    except OptionError as error:
        return choose(architecture, encoder, None, None), [error]
    return choice, [IncompatibleError(reason) for reason in violations(architecture, encoder, choice, neck)]


def settle_alone(
    encoder: EncoderSpec, depth: int | None, output_stride: int | None, output_indices: Sequence[int] | None
) -> tuple[Choice, list[str]]:
    """What is asked of an encoder that is built alone, and what it does not have of that."""
    indices, depth, output_stride = as_indices(output_indices), as_int(depth), as_int(output_stride)
    if depth is None:
        depth = encoder.max_depth if indices is None else len(indices)
    choice = Choice(depth=depth, output_stride=output_stride, output_indices=indices)
    found = []
    if not encoder.min_depth <= choice.depth <= encoder.max_depth:
        found.append(f"encoder {encoder.name!r} takes depth {encoder.min_depth}..{encoder.max_depth}, not {depth}")
    elif output_stride not in (None, 32, *encoder.dilation):
        found.append(f"{describe_dilation(encoder)}, asked for output stride {output_stride}")
    if indices is not None and not encoder.tokens:
        found.append(f"encoder {encoder.name!r} yields no prefix tokens and takes no output_indices, got {[*indices]}")
    return choice, [*found, *index_violations(choice)]


def features_at_depth(encoder: EncoderSpec, depth: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """See `EncoderSpec.features_at_depth`."""
    return encoder.features_at_depth(depth)


def dilates(encoder: EncoderSpec, choice: Choice) -> bool:
    """See `EncoderSpec.dilates`."""
    return encoder.dilates(choice.depth, choice.output_stride)


def neck_levels(architecture: ArchitectureSpec, neck: NeckSpec, output_stride: Any) -> tuple[int, ...]:
    """The reductions that an architecture wants of a neck: no deeper than by default, nor than the output stride."""
    deepest = 2**architecture.default_depth
    if architecture.dilation and isinstance(output_stride, int):
        deepest = min(deepest, output_stride)
    return tuple(item for item in neck.reductions if item <= deepest)


def has_levels(architecture: ArchitectureSpec, encoder: EncoderSpec, choice: Choice) -> bool:
    """Whether an encoder's features are of the kind, and at the reductions, that an architecture needs."""
    return not (
        _token_violations(architecture, encoder, None) or _level_violations(architecture, encoder, choice, None)
    )


def violations(
    architecture: ArchitectureSpec, encoder: EncoderSpec, choice: Choice, neck: NeckSpec | None = None
) -> list[str]:
    """Everything that keeps the parts from being built with this choice, one sentence each."""
    found = []
    owners = [(f"encoder {encoder.name!r}", encoder.min_depth, encoder.max_depth, choice.depth)]
    if neck is None:
        name = f"architecture {architecture.name!r}"
        owners.append((name, architecture.min_depth, architecture.max_depth, choice.depth))
    for owner, least, most, asked in owners:
        if not least <= asked <= most:
            found.append(f"{owner} takes encoder_depth {f'{least}..{most}' if least < most else least}, not {asked}")
    found.extend(_neck_violations(neck, architecture, encoder, choice))
    found.extend(_token_violations(architecture, encoder, neck))
    found.extend(_level_violations(architecture, encoder, choice, neck))
    found.extend(_stride_violations(architecture, encoder, choice, neck))
    found.extend(_index_violations(architecture, encoder, choice, neck))
    return found


def _neck_violations(
    neck: NeckSpec | None, architecture: ArchitectureSpec, encoder: EncoderSpec, choice: Choice
) -> list[str]:
    if neck is None:
        return []
    found = []
    deepest = max(neck_levels(architecture, neck, choice.output_stride), default=1)
    if not architecture.min_depth <= deepest.bit_length() - 1 <= architecture.max_depth:
        found.append(
            f"architecture {architecture.name!r} takes a pyramid that goes down to a reduction of "
            f"2**{architecture.min_depth} to 2**{architecture.max_depth}; that of neck {neck.name!r} goes down to "
            f"{deepest}"
        )
    if not (neck.tokens if encoder.tokens else neck.pyramid):
        takes = "features of a plain transformer" if neck.tokens else "a feature pyramid"
        found.append(f"neck {neck.name!r} takes {takes}, which encoder {encoder.name!r} does not yield")
    return found


def _token_violations(architecture: ArchitectureSpec, encoder: EncoderSpec, neck: NeckSpec | None) -> list[str]:
    """Whether the one wants the features of a plain transformer, and the other yields them."""
    yields_tokens = encoder.tokens and neck is None
    if architecture.tokens and not yields_tokens:
        maker = f"encoder {encoder.name!r}" if neck is None else f"neck {neck.name!r}"
        return [f"architecture {architecture.name!r} needs prefix tokens of a plain transformer; {maker} yields none"]
    if yields_tokens and not (architecture.tokens or architecture.accepts_tokens or architecture.pyramid):
        return [
            f"architecture {architecture.name!r} does not take a plain transformer; encoder {encoder.name!r} is one: "
            f"{_ADVICE}"
        ]
    return []


_ADVICE = "name a neck that makes a feature pyramid of its features (smp_core.list_necks; pip install smp-necks)"


def _level_violations(
    architecture: ArchitectureSpec, encoder: EncoderSpec, choice: Choice, neck: NeckSpec | None
) -> list[str]:
    """Whether there is a pyramid, where one is needed, with the levels that the decoder cannot do without."""
    if neck is not None:
        maker, reductions = f"neck {neck.name!r}", neck_levels(architecture, neck, choice.output_stride)
    else:
        maker, reductions = f"encoder {encoder.name!r}", encoder.features_at_depth(choice.depth)[1]
    if architecture.pyramid and not _is_pyramid(reductions, tokens=neck is None and encoder.tokens):
        every = encoder.reductions if neck is None else neck.reductions
        advice = "" if neck is not None else f": {_ADVICE}"
        return [
            f"architecture {architecture.name!r} needs a feature pyramid whose reductions are increasing powers "
            f"of two; {maker} has reductions {every}{advice}"
        ]
    missing = [item for item in architecture.requires if item not in reductions]
    if missing and reductions:
        return [
            f"architecture {architecture.name!r} needs features of reduction {', '.join(map(str, missing))}; {maker} "
            f"has {', '.join(map(str, reductions))}" + ("" if neck is not None else f": {_ADVICE}")
        ]
    return []


def _is_pyramid(reductions: Sequence[int], *, tokens: bool) -> bool:
    return not tokens and all(reduction.bit_count() == 1 for reduction in reductions)


def _stride_violations(
    architecture: ArchitectureSpec, encoder: EncoderSpec, choice: Choice, neck: NeckSpec | None
) -> list[str]:
    stride = choice.output_stride
    if stride is None:
        return []
    if not architecture.dilation:
        return [f"architecture {architecture.name!r} takes no encoder_output_stride, got {stride}"]
    if stride not in architecture.dilation:
        known = ", ".join(map(str, sorted(architecture.dilation)))
        return [f"architecture {architecture.name!r} takes an encoder_output_stride of {known}, not {stride}"]
    if neck is None and dilates(encoder, choice) and stride not in encoder.dilation:
        return [f"architecture {architecture.name!r} asks for output stride {stride}; {describe_dilation(encoder)}"]
    return []


def _index_violations(
    architecture: ArchitectureSpec, encoder: EncoderSpec, choice: Choice, neck: NeckSpec | None
) -> list[str]:
    if choice.output_indices is None:
        return []
    who = None if encoder.tokens else f"encoder {encoder.name!r}, which is no plain transformer,"
    if neck is None and not (architecture.tokens or architecture.accepts_tokens):
        who = f"architecture {architecture.name!r}"
    if who is not None:
        return [f"{who} takes no encoder_output_indices, got {list(choice.output_indices)}"]
    return index_violations(choice)


def index_violations(choice: Choice) -> list[str]:
    """Whether a token encoder is asked for as many blocks as features."""
    if choice.output_indices is None or len(choice.output_indices) == choice.depth:
        return []
    return [
        f"the output indices {list(choice.output_indices)} are {len(choice.output_indices)}, but the encoder depth is "
        f"{choice.depth}: give one index for each feature"
    ]


def describe_dilation(encoder: EncoderSpec) -> str:
    """The output strides that an encoder can be dilated to, as half a sentence."""
    if not encoder.dilation:
        return f"encoder {encoder.name!r} cannot be dilated"
    return f"encoder {encoder.name!r} can be dilated only to {', '.join(map(str, sorted(encoder.dilation)))}"


def compare(
    architecture: ArchitectureSpec, encoder: EncoderSpec, depth: int | None = None, output_stride: int | None = None
) -> Compatibility:
    """Compare two specs, with the depth and output stride that a user asks for, or the defaults."""
    found = violations(architecture, encoder, choose(architecture, encoder, depth, output_stride))
    return Compatibility(not found, tuple(found))
