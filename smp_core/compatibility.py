"""Comparing what an architecture needs with what an encoder declares, before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from smp_core.errors import IncompatibleError, OptionError
from smp_core.plugin import ArchitectureSpec, EncoderSpec


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
    """Indices as `Choice` holds them; what is no list is left for it to refuse."""
    return tuple(value) if isinstance(value, (list, tuple)) else value  # type: ignore[return-value]


def choose(
    architecture: ArchitectureSpec,
    encoder: EncoderSpec,
    depth: int | None,
    output_stride: int | None,
    output_indices: Sequence[int] | None = None,
) -> Choice:
    """Fill in what the user left open: the architecture's defaults, held within the encoder's depths."""
    indices = as_indices(output_indices)
    if depth is None and isinstance(indices, tuple):
        depth = len(indices)
    if depth is None:
        depth = min(max(architecture.default_depth, encoder.min_depth), encoder.max_depth)
    if output_stride is None and architecture.dilation:
        output_stride = architecture.dilation[0]
    return Choice(depth=depth, output_stride=output_stride, output_indices=indices)


def spec_of_module(module: Any, architecture: ArchitectureSpec) -> EncoderSpec:
    """The spec that a built encoder would have, so that one comparison serves both."""
    name = type(module).__name__.lstrip("_") or "module"
    reductions, channels = tuple(module.reductions), tuple(module.out_channels)
    tokens = bool(getattr(module, "tokens", False))
    if not tokens:
        last = dict(zip(reductions, channels, strict=True))  # a dilated encoder repeats its last reduction
        if len(last) < len(reductions) and not architecture.dilation:
            raise IncompatibleError(
                f"architecture {architecture.name!r} needs strictly increasing reductions; "
                f"encoder {name!r} has {reductions}"
            )
        reductions, channels = tuple(last), tuple(last.values())
    depth = max(len(reductions) if tokens else max(reductions).bit_length() - 1, 1)
    return EncoderSpec(
        name=name,
        target="torch.nn:Module",  # built already: never called
        out_channels=channels,
        reductions=reductions,
        tokens=tokens,
        min_depth=depth,
        max_depth=depth,
    )


def features_at_depth(encoder: EncoderSpec, depth: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """``(out_channels, reductions)`` of an encoder truncated to a depth, for a 3-channel input and no dilation."""
    if encoder.tokens:
        return encoder.out_channels[:depth], encoder.reductions[:depth]
    kept = [
        (channels, reduction)
        for channels, reduction in zip(encoder.out_channels, encoder.reductions, strict=True)
        if reduction <= 2**depth
    ]
    return tuple(channels for channels, _ in kept), tuple(reduction for _, reduction in kept)


def dilates(encoder: EncoderSpec, choice: Choice) -> bool:
    """Whether an output stride asks the encoder to dilate: not where its features never get that deep."""
    if choice.output_stride is None:
        return False
    return choice.output_stride < max(features_at_depth(encoder, choice.depth)[1], default=1)


def violations(architecture: ArchitectureSpec, encoder: EncoderSpec, choice: Choice) -> list[str]:
    """Everything that keeps the pair from being built with this choice, one sentence each."""
    found = []
    for owner, spec in ((f"encoder {encoder.name!r}", encoder), (f"architecture {architecture.name!r}", architecture)):
        if not spec.min_depth <= choice.depth <= spec.max_depth:
            allowed = f"{spec.min_depth}..{spec.max_depth}" if spec.min_depth < spec.max_depth else f"{spec.min_depth}"
            found.append(f"{owner} takes encoder_depth {allowed}, not {choice.depth}")
    if architecture.tokens and not encoder.tokens:
        found.append(
            f"architecture {architecture.name!r} needs prefix tokens of a plain transformer; "
            f"encoder {encoder.name!r} yields none"
        )
    if architecture.pyramid and not _is_pyramid(encoder):
        found.append(
            f"architecture {architecture.name!r} needs a feature pyramid whose reductions are increasing powers "
            f"of two; encoder {encoder.name!r} has reductions {encoder.reductions}"
        )
    found.extend(_stride_violations(architecture, encoder, choice))
    if choice.output_indices is not None and not architecture.tokens:
        found.append(
            f"architecture {architecture.name!r} takes no encoder_output_indices, got {list(choice.output_indices)}"
        )
    elif encoder.tokens:
        found.extend(index_violations(choice))
    return found


def _is_pyramid(encoder: EncoderSpec) -> bool:
    return not encoder.tokens and all(reduction.bit_count() == 1 for reduction in encoder.reductions)


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
