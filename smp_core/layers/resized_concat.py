"""Resize maps to one size, concatenate, convolve by 1x1: the fusion step of PSPNet, DeepLab and Segformer.

Written down plainly, ``conv(cat([interpolate(x, size) for x in maps]))`` stores every map and their concatenation
at the largest resolution, and projects each there. Two identities avoid that:

* a convolution is linear in its input channels, so the weight splits by map and the projections are added;
* a 1x1 convolution mixes channels and bilinear interpolation mixes pixels, with weights that sum to one, so the two
  commute, whether corners are aligned or not: a small map is projected where it is small. A map of one pixel becomes a
  bias for each image.

The parameters are those of the plain 1x1 convolution over the concatenation, which its owner keeps and may call.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.layers.enlarging import add_enlarged, enlarges_by_matrix

RESIZINGS = ("none", "after", "before", "broadcast")


class ResizedConcat(nn.Module):
    """How maps of several sizes come to one, for the 1x1 convolution over their concatenation; no parameters.

    Args:
        resizing: for each map, in the order of the concatenation, how it comes to the size of the result. ``"none"``:
            it has that size. ``"after"``: it is projected at its own size, then interpolated; for smaller maps.
            ``"before"``: it is interpolated, then projected; for larger maps. ``"broadcast"``: it is of one pixel,
            (N, C, 1, 1), and added to every pixel. Fixed when the module is built, so that a graph for dynamic sizes
            has no case distinctions.
        align_corners: of the bilinear interpolation.

    >>> resize = ResizedConcat(("none", "after"))
    >>> maps = [torch.zeros(1, 8, 12, 10), torch.zeros(1, 16, 3, 5)]
    >>> resize(maps, 12, 10).shape, resize.project(maps, torch.zeros(4, 24, 1, 1), None, 12, 10).shape
    (torch.Size([1, 24, 12, 10]), torch.Size([1, 4, 12, 10]))
    """

    def __init__(self, resizing: Sequence[str], *, align_corners: bool = False) -> None:
        super().__init__()
        assert all(item in RESIZINGS for item in resizing), resizing
        assert any(item != "broadcast" for item in resizing), "some map must give the result its size"
        self.resizing: list[str] = list(resizing)
        self.align_corners = align_corners

    def forward(self, maps: list[Tensor], height: int, width: int) -> Tensor:
        """The concatenation, which the plain form needs.

        Args:
            maps: one (N, C_i, h_i, w_i) for each entry of ``resizing``.
            height, width: size of the result.

        Returns:
            (N, sum of C_i, height, width)
        """
        resized: list[Tensor] = []
        for index, x in enumerate(maps):
            resizing = self.resizing[index]
            if resizing == "broadcast":
                resized.append(x.expand(-1, -1, height, width))
            elif resizing == "none":
                resized.append(x)
            else:
                resized.append(self._resize(x, height, width))
        return torch.cat(resized, dim=1)

    def project(self, maps: list[Tensor], weight: Tensor, bias: Tensor | None, height: int, width: int) -> Tensor:
        """The 1x1 convolution of the concatenation, which is never made.

        Args:
            maps, height, width: as for `forward`.
            weight: (out_channels, sum of C_i, 1, 1).
            bias: (out_channels,), or None.

        Returns:
            (N, out_channels, height, width)
        """
        weights = list(torch.split(weight, [x.shape[1] for x in maps], dim=1))
        return self.project_each(maps, weights, bias, height, width)

    def project_each(
        self, maps: list[Tensor], weights: list[Tensor], bias: Tensor | None, height: int, width: int
    ) -> Tensor:
        """As `project`, with a weight for each map, for a caller that merges another linear map into them.

        Args:
            weights: one (out_channels, C_i, 1, 1) for each map.
        """
        pixels: Tensor | None = None
        out: Tensor | None = None
        small: list[Tensor] = []  # to be enlarged together
        for index, x in enumerate(maps):
            resizing, weight = self.resizing[index], weights[index]
            if resizing == "broadcast":
                x = functional.conv2d(x, weight)
                pixels = x if pixels is None else pixels + x
                continue
            if resizing == "after" and enlarges_by_matrix(x, height, width):
                small.append(functional.conv2d(x, weight))
                continue
            if resizing == "before":
                x = self._resize(x, height, width)
            # The bias once: interpolation leaves a constant as it is.
            x = functional.conv2d(x, weight, bias)
            bias = None
            if resizing == "after":
                x = self._resize(x, height, width)
            if out is None:
                out = x
            else:
                out += x
        assert out is not None
        if len(small) > 0:
            # A single pixel is enlarged by a matrix of ones: one pass over the result less.
            if pixels is not None:
                small.append(pixels)
            return add_enlarged(out, small, align_corners=self.align_corners)
        if pixels is not None:
            out += pixels
        return out

    def _resize(self, x: Tensor, height: int, width: int) -> Tensor:
        return functional.interpolate(x, size=[height, width], mode="bilinear", align_corners=self.align_corners)
