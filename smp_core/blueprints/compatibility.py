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
) -> Choice:
    """Fill in what the user left open: the architecture's defaults, held within the encoder's depths."""
    indices, depth, output_stride = as_indices(output_indices), as_int(depth), as_int(output_stride)
    if depth is None and isinstance(indices, tuple):
        depth = len(indices)
    if depth is None:
        depth = min(max(architecture.default_depth, encoder.min_depth), encoder.max_depth)
    if output_stride is None and architecture.dilation:
        output_stride = architecture.dilation[0]
    return Choice(depth=depth, output_stride=output_stride, output_indices=indices)


def settle(
    architecture: ArchitectureSpec, encoder: EncoderSpec, request: Request, neck: NeckSpec | None
) -> tuple[Choice, list[CreationError]]:
    """What is asked of the encoder, and what keeps the parts from being built so."""
    depth, stride, indices = request.encoder_depth, request.encoder_output_stride, request.encoder_output_indices
    try:
        choice = choose(architecture, encoder, depth, stride, indices)
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


def violations(
    architecture: ArchitectureSpec, encoder: EncoderSpec, choice: Choice, neck: NeckSpec | None = None
) -> list[str]:
    """Everything that keeps the parts from being built with this choice, one sentence each."""
    found = []
    owners = [(f"encoder {encoder.name!r}", encoder.min_depth, encoder.max_depth, choice.depth)]
    if neck is None:
        name = f"architecture {architecture.name!r}"
        owners.append((name, architecture.min_depth, architecture.max_depth, choice.depth))
    elif not architecture.min_depth <= max(neck.reductions).bit_length() - 1 <= architecture.max_depth:
        found.append(
            f"architecture {architecture.name!r} takes a pyramid that goes down to a reduction of "
            f"2**{architecture.min_depth} to 2**{architecture.max_depth}; that of neck {neck.name!r} goes down to "
            f"{max(neck.reductions)}"
        )
    for owner, least, most, asked in owners:
        if not least <= asked <= most:
            found.append(f"{owner} takes encoder_depth {f'{least}..{most}' if least < most else least}, not {asked}")
    found.extend(_neck_violations(neck, encoder))
    maker = f"encoder {encoder.name!r}" if neck is None else f"neck {neck.name!r}"
    if architecture.tokens and (neck is not None or not encoder.tokens):
        found.append(
            f"architecture {architecture.name!r} needs prefix tokens of a plain transformer; {maker} yields none"
        )
    reductions = encoder.reductions if neck is None else neck.reductions
    if architecture.pyramid and not _is_pyramid(reductions, tokens=neck is None and encoder.tokens):
        found.append(
            f"architecture {architecture.name!r} needs a feature pyramid whose reductions are increasing powers "
            f"of two; {maker} has reductions {reductions}"
        )
    found.extend(_stride_violations(architecture, encoder, choice))
    if choice.output_indices is not None and not (encoder.tokens if neck is not None else architecture.tokens):
        found.append(
            f"architecture {architecture.name!r} takes no encoder_output_indices, got {list(choice.output_indices)}"
        )
    elif encoder.tokens:
        found.extend(index_violations(choice))
    return found


def _neck_violations(neck: NeckSpec | None, encoder: EncoderSpec) -> list[str]:
    if neck is None or (neck.tokens if encoder.tokens else neck.pyramid):
        return []
    takes = "features of a plain transformer" if neck.tokens else "a feature pyramid"
    return [f"neck {neck.name!r} takes {takes}, which encoder {encoder.name!r} does not yield"]


def _is_pyramid(reductions: Sequence[int], *, tokens: bool) -> bool:
    return not tokens and all(reduction.bit_count() == 1 for reduction in reductions)


def _stride_violations(architecture: ArchitectureSpec, encoder: EncoderSpec, choice: Choice) -> list[str]:
    stride = choice.output_stride
    if stride is None:
        return []
    if not architecture.dilation:
        return [f"architecture {architecture.name!r} takes no encoder_output_stride, got {stride}"]
    if stride not in architecture.dilation:
        known = ", ".join(map(str, sorted(architecture.dilation)))
        return [f"architecture {architecture.name!r} takes an encoder_output_stride of {known}, not {stride}"]
    if dilates(encoder, choice) and stride not in encoder.dilation:
        return [f"architecture {architecture.name!r} asks for output stride {stride}; {describe_dilation(encoder)}"]
    return []


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
