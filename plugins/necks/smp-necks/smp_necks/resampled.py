"""Necks without parameters: each level is one of the features, resampled."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from smp_necks.resampling import Resample


class ResampledLevels(nn.Module):
    """Levels each of which is made from one feature.

    Args:
        out_channels, reductions: of the features.
        levels: reductions of the levels.
        sources: for each level the index of its feature.

    Attributes:
        out_channels, reductions: of the levels, highest resolution first.
    """

    def __init__(
        self, out_channels: Sequence[int], reductions: Sequence[int], *, levels: Sequence[int], sources: Sequence[int]
    ) -> None:
        super().__init__()
        self.sources = list(sources)
        self.out_channels: tuple[int, ...] = tuple(out_channels[source] for source in sources)
        self.reductions: tuple[int, ...] = tuple(levels)
        self.levels = nn.ModuleList(
            Resample(reductions[source], level) for source, level in zip(sources, levels, strict=True)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Make the levels.

        Args:
            features: (N, C_i, h_i, w_i) each.

        Returns:
            One (N, out_channels[j], H, W) for each level of reduction R, H = h_i * reductions[i] / R of its feature,
            rounded up; W alike.
        """
        levels: list[Tensor] = []
        for index, level in enumerate(self.levels):
            levels.append(level(features[self.sources[index]]))
        return levels
