"""A pyramid of a plain transformer's features, resampled and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from smp_necks.given import check_features, check_tokens
from smp_necks.levels import reductions_up_to, spread
from smp_necks.resampled import ResampledLevels


class ResizePyramid(ResampledLevels):
    """A pyramid of the features of a plain transformer, each resampled to the levels that it is given; no parameters.

    Features go to the levels evenly and in order: those of earlier blocks to finer levels, the last one to the deepest.
    Of 12 features four levels get the third, sixth, ninth and twelfth; of a single one they all are made.

    Args:
        out_channels, reductions: of the encoder's features, all of one reduction.
        tokens: must be True.
        output_stride: 4, 8, 16 or 32: levels of a larger reduction are left out, the features spread over the others.

    Attributes:
        out_channels: of the levels: those of the features that they are made from.
        reductions: of the levels, highest resolution first: 4, 8, 16, 32.

    Raises:
        OptionError: features that are not a plain transformer's, or a wrong value; says what was expected.

    >>> import torch
    >>> neck = ResizePyramid(out_channels=(192, 192), reductions=(14, 14), tokens=True)
    >>> [tuple(level.shape) for level in neck([torch.zeros(1, 192, 16, 16), torch.ones(1, 192, 16, 16)])]
    [(1, 192, 56, 56), (1, 192, 28, 28), (1, 192, 14, 14), (1, 192, 7, 7)]
    """

    def __init__(
        self,
        *,
        out_channels: Sequence[int],
        reductions: Sequence[int],
        tokens: bool,
        output_stride: int | None = None,
    ) -> None:
        channels, scales = check_features("resize_pyramid", out_channels, reductions, output_stride)
        check_tokens("resize_pyramid", scales, tokens)
        levels = reductions_up_to(output_stride)
        super().__init__(channels, scales, levels=levels, sources=spread(len(scales), len(levels)))
