"""Resize maps to one size, concatenate, convolve by 1x1: the fusion step of PSPNet, DeepLab and Segformer.

Written down plainly, ``conv(cat([interpolate(x, size) for x in maps]))`` stores every map and their concatenation
at the largest resolution, and projects each there. Two identities avoid that:

* a convolution is linear in its input channels, so the weight splits by map and the projections are added;
* a 1x1 convolution mixes channels and bilinear interpolation mixes pixels, with weights that sum to one, so the two
  commute, whether corners are aligned or not: a small map is projected where it is small. A map of one pixel becomes a
  bias for each image.

The parameters stay those of the plain 1x1 convolution, so every checkpoint fits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

RESIZINGS = ("none", "after", "before", "broadcast")


class ResizedConcatConv1x1(nn.Conv2d):
    """1x1 convolution over maps that are resized to one size and concatenated, without the concatenation.

    Equals ``conv(cat([interpolate(x, (height, width), mode="bilinear", align_corners=...) for x in maps], dim=1))``.
    State-dict keys: ``weight`` (out_channels, sum of branch_channels, 1, 1) and, where there is one, ``bias``
    (out_channels,), those of ``nn.Conv2d(sum(branch_channels), out_channels, 1)``.

    Args:
        branch_channels: channels of each map, in the order of the concatenation.
        out_channels: channels of the result.
        bias: whether there is a bias.
        resizing: for each map, how it comes to the size of the result. ``"none"``: it has that size. ``"after"``: it
            is projected at its own size, then interpolated; for smaller maps. ``"before"``: it is interpolated, then
            projected; for larger maps. ``"broadcast"``: it is of one pixel, (N, C, 1, 1), and added to every pixel.
            Fixed when the layer is built, so that a graph for dynamic sizes has no case distinctions.
        align_corners: of the interpolation.

    >>> layer = ResizedConcatConv1x1((8, 16), 4, resizing=("none", "after"))
    >>> layer([torch.zeros(1, 8, 12, 10), torch.zeros(1, 16, 3, 5)], 12, 10).shape
    torch.Size([1, 4, 12, 10])
    """

    def __init__(
        self,
        branch_channels: Sequence[int],
        out_channels: int,
        *,
        resizing: Sequence[str],
        bias: bool = False,
        align_corners: bool = False,
    ) -> None:
        super().__init__(sum(branch_channels), out_channels, 1, bias=bias)
        assert len(resizing) == len(branch_channels), (resizing, branch_channels)
        assert all(item in RESIZINGS for item in resizing), resizing
        assert any(item != "broadcast" for item in resizing), "some map must give the result its size"
        self.branch_channels: list[int] = list(branch_channels)
        self.resizing: list[str] = list(resizing)
        self.align_corners = align_corners

    def forward(self, maps: list[Tensor], height: int, width: int) -> Tensor:  # type: ignore[override]
        """Project and add.

        Args:
            maps: one (N, branch_channels[i], h_i, w_i) for each branch.
            height, width: size of the result.

        Returns:
            (N, out_channels, height, width)
        """
        return self.project(maps, list(torch.split(self.weight, self.branch_channels, dim=1)), self.bias, height, width)

    def project(
        self, maps: list[Tensor], weights: list[Tensor], bias: Tensor | None, height: int, width: int
    ) -> Tensor:
        """As `forward`, with other weights than the layer's own, for a caller that merges another linear map into them.

        Args:
            maps, height, width: as for `forward`, but of any number of channels C_i.
            weights: one (out_channels, C_i, 1, 1) for each branch.
            bias: (out_channels,), or None.
        """
        pixels: Tensor | None = None
        out: Tensor | None = None
        for index, x in enumerate(maps):
            resizing, weight = self.resizing[index], weights[index]
            if resizing == "broadcast":
                x = functional.conv2d(x, weight)
                pixels = x if pixels is None else pixels + x
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
        if pixels is not None:
            out += pixels
        return out

    def _resize(self, x: Tensor, height: int, width: int) -> Tensor:
        return functional.interpolate(x, size=[height, width], mode="bilinear", align_corners=self.align_corners)


class ResizedConcatBlock(nn.Sequential):
    """`ResizedConcatConv1x1` or its 3x3 kin, norm, activation, maybe dropout; keys ``0`` convolution, ``1`` norm.

    >>> convolution = ResizedConcatConv1x1((8, 16), 4, resizing=("none", "after"))
    >>> block = ResizedConcatBlock(convolution, nn.BatchNorm2d(4), nn.ReLU())
    >>> block([torch.zeros(1, 8, 12, 10), torch.zeros(1, 16, 3, 5)], 12, 10).shape
    torch.Size([1, 4, 12, 10])
    """

    def __init__(
        self,
        convolution: nn.Conv2d,
        norm: nn.Module,
        activation: nn.Module,
        dropout: nn.Module | None = None,
    ) -> None:
        super().__init__(convolution, norm, activation, nn.Identity() if dropout is None else dropout)

    def forward(self, maps: list[Tensor], height: int, width: int) -> Tensor:  # type: ignore[override]
        """As the convolution's, then the rest."""
        out: Tensor = self[3](self[2](self[1](self[0](maps, height, width))))
        return out
