"""Checks of what a neck is built from: the channels and reductions of an encoder's features."""

from __future__ import annotations

from collections.abc import Sequence

from smp_core.errors import OptionError
from smp_core.options import check_positive
from smp_necks.levels import REDUCTIONS


def check_features(
    neck: str, out_channels: Sequence[int], reductions: Sequence[int], output_stride: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return channels and reductions as tuples of ints, if they are those of some features.

    Args:
        neck: its name, for errors.
        out_channels, reductions: of the encoder's features, one of each a feature.
        output_stride: the largest reduction that is wanted; None for no limit.

    Raises:
        OptionError: they are empty, of different lengths, not positive ints or decreasing; or another output stride.
    """
    values: dict[str, object] = {"out_channels": out_channels, "reductions": reductions}
    for name, value in values.items():
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise OptionError(f"{neck}: {name} must be a tuple of ints, one a feature, got {value!r}")
    channels = tuple(check_positive(f"{neck}: each of out_channels", item) for item in out_channels)
    scales = tuple(check_positive(f"{neck}: each of reductions", item) for item in reductions)
    if not channels or len(channels) != len(scales):
        raise OptionError(
            f"{neck}: expected one of out_channels and one of reductions for each feature, and a feature at least; got "
            f"out_channels {channels} and reductions {scales}; give those of the built encoder"
        )
    if list(scales) != sorted(scales):
        raise OptionError(
            f"{neck}: reductions must increase, got {scales}; give the features in the encoder's order, the highest "
            "resolution first"
        )
    if output_stride is not None and output_stride not in REDUCTIONS:
        raise OptionError(
            f"{neck}: output_stride must be None or one of {', '.join(map(str, REDUCTIONS))}, got {output_stride!r}"
        )
    return channels, scales


def check_tokens(neck: str, reductions: tuple[int, ...], tokens: bool) -> int:
    """Return the one reduction of the features of a plain transformer.

    Raises:
        OptionError: they are not a transformer's, or have several reductions.
    """
    if not tokens:
        raise OptionError(
            f"{neck} takes the features of a plain transformer (tokens=True), got tokens={tokens!r} with reductions "
            f"{reductions}; for a feature pyramid use 'regrid'"
        )
    if len({*reductions}) != 1:
        raise OptionError(
            f"{neck} takes features all of one reduction, as a plain transformer yields them, got reductions "
            f"{reductions}; for a feature pyramid use 'regrid'"
        )
    return reductions[0]


def check_pyramid(neck: str, reductions: tuple[int, ...], tokens: bool) -> None:
    """Check that the features are a pyramid's.

    Raises:
        OptionError: they are a plain transformer's, or there is nothing but the input.
    """
    if tokens:
        raise OptionError(
            f"{neck} takes a feature pyramid (tokens=False), got tokens={tokens!r} with reductions {reductions}; for "
            "the features of a plain transformer use 'simple_pyramid' or 'resize_pyramid'"
        )
    if max(reductions) == 1:
        raise OptionError(
            f"{neck} makes its levels from features of a reduction of 2 or more, got only {reductions}; give it a "
            "deeper encoder"
        )
