"""Features as SMP counts them: one for every power of two, of 0 channels where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from smp_compat.encoders._adapting import pyramid
from smp_core.errors import OptionError


def up_to(
    depth: int, encoder_channels: Sequence[int], output_stride: int = 2**30
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Channels and reductions of the features that there are, up to a depth.

    Raises:
        OptionError: fewer channels than levels. An encoder here lists only the levels that it has: one that was guessed
            to be missing would give masks of another size where it is the depth that is wrong.
    """
    if len(encoder_channels) <= depth:
        given = tuple(encoder_channels)
        raise OptionError(
            f"encoder_channels={given!r}: expected {depth + 1} numbers, of the input and of the levels of reduction 2 "
            f"to {2**depth}, got {len(given)}; for an encoder without a level of reduction 2 give "
            f"{(*given[:1], 0, *given[1:])!r}, for one of another depth its depth"
        )
    channels, reductions = pyramid(encoder_channels[: depth + 1])
    return channels, tuple(min(reduction, output_stride) for reduction in reductions)


def of_blocks(blocks: int, encoder_channels: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """As `up_to` for a decoder with a block for each level: where one level is missing, it is that of reduction 2."""
    if len(encoder_channels) == blocks >= 2 and 0 not in encoder_channels:
        encoder_channels = (encoder_channels[0], 0, *encoder_channels[1:])
    return up_to(blocks, encoder_channels)


class TakesEmpty:
    """Before a decoder: it is also given features of 0 channels, which stand for levels that are not there."""

    def forward(self, features: list[Tensor]) -> Tensor:
        """See the decoder's own."""
        result: Tensor = super().forward([item for item in features if item.shape[1] > 0])  # type: ignore[misc]
        return result
