"""From one reduction to another, without parameters and in place: no pixel of the image moves.

`torch.nn.functional.interpolate` stretches the map that it is given to the size that it is given. Sizes are rounded, so
that alone would move the content: 37 rows of patches of 14 cover 518 rows of the image, 33 rows of 16 cover 528, and
what is at the bottom of the image would stand ten rows too low. A map is therefore extended first, by repetition of its
border, to where both grids end on the same row, and what is beyond is cut off afterwards.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from smp_core.layers.cutting import cut


class Resample(nn.Module):
    """Bring a map to another reduction: (N, C, h, w) -> (N, C, H, W), H = h * source / target, rounded up; W alike.

    Bilinear, corners not aligned. Where the map shrinks to a half or less, means of windows are taken first: beyond a
    half, bilinear interpolation skips pixels, which aliases and leaves them without a gradient; at exactly a half, a
    quarter and so on, the means are all there is to do. A map of the reduction that is wanted is returned as it is.

    Args:
        source: reduction of the map.
        target: reduction of the result, a power of two.

    >>> Resample(14, 16)(torch.zeros(1, 8, 37, 24)).shape
    torch.Size([1, 8, 33, 21])
    """

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        assert target & (target - 1) == 0, target
        self.is_identity = source == target
        # Both grids end on the same row every so many rows of the source, and of the result.
        divisor = math.gcd(source, target)
        self.period = target // divisor
        self.result_period = source // divisor
        # The largest power of two that still leaves something of the reduction; it divides the period.
        self.window = 1
        while 2 * self.window * source <= target:
            self.window *= 2
        self.interpolates = source * self.window != target
        self.source = source
        self.target = target

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.is_identity:
            return x
        height, width = x.shape[2], x.shape[3]
        vertical = (height + self.period - 1) // self.period
        horizontal = (width + self.period - 1) // self.period
        if self.period > 1:
            below, beside = vertical * self.period - height, horizontal * self.period - width
            x = functional.pad(x, [0, beside, 0, below], mode="replicate")
        if self.window > 1:
            x = functional.avg_pool2d(x, self.window)
        rows, columns = vertical * self.result_period, horizontal * self.result_period
        if self.interpolates:
            x = functional.interpolate(x, size=[rows, columns], mode="bilinear", align_corners=False)
        if self.period == 1:
            return x
        return cut(x, self._resampled(height), self._resampled(width))

    def _resampled(self, size: int) -> int:
        return (size * self.source + self.target - 1) // self.target

    def extra_repr(self) -> str:
        """The two reductions."""
        return f"{self.source}, {self.target}"
