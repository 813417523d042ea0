"""Features as SMP counts them: one for every power of two, of 0 channels where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from smp_compat.encoders._adapting import pyramid


def up_to(
    depth: int, encoder_channels: Sequence[int], output_stride: int = 2**30
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Channels and reductions of the features that there are, up to a depth."""
    channels, reductions = pyramid(encoder_channels[: depth + 1])
    return channels, tuple(min(reduction, output_stride) for reduction in reductions)


class TakesEmpty:
    """Before a decoder: it is also given features of 0 channels, which stand for levels that are not there."""

    def forward(self, features: list[Tensor]) -> Tensor:
        """See the decoder's own."""
        result: Tensor = super().forward([item for item in features if item.shape[1] > 0])  # type: ignore[misc]
        return result
