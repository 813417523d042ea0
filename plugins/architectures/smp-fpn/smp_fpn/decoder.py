"""The decoder of FPN (Lin et al., arXiv:1612.03144), as Kirillov et al., arXiv:1901.02446, made it for segmentation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.errors import OptionError
from smp_core.layers import initialise_decoder
from smp_core.layers.upsample import check_interpolation
from smp_core.options import check_positive, check_probability
from smp_fpn.layers import NUM_GROUPS, ConvNormAct3x3, MergedConvNormAct, PyramidLevel

MERGE_POLICIES = ("add", "cat")


class SegmentationBlock(nn.Module):
    """Convolutions with a bilinear upsampling between them: (N, in_channels, h, w) -> (N, out_channels, h', w').

    Args:
        in_channels, out_channels: number of channels.
        num_convs: number of convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int, num_convs: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *(ConvNormAct3x3(out_channels if index else in_channels, out_channels) for index in range(num_convs))
        )

    def forward(self, x: Tensor, heights: list[int], widths: list[int]) -> Tensor:
        """``heights`` and ``widths``: what the map is upsampled to before each convolution but the first."""
        for index, convolution in enumerate(self.block):
            if index > 0:
                x = upsample(x, heights[index - 1], widths[index - 1])
            x = convolution(x)
        return x


class FinestBlock(nn.Module):
    """The block of the finest level, which is made here as well; see `MergedConvNormAct`. Key: ``block.0``."""

    def __init__(self, in_channels: int, out_channels: int, interpolation: str) -> None:
        super().__init__()
        self.block = nn.ModuleList([MergedConvNormAct(in_channels, out_channels, interpolation)])

    def forward(
        self, x: Tensor, skip: Tensor | None, weight: Tensor | None, bias: Tensor | None, height: int, width: int
    ) -> Tensor:
        """See `MergedConvNormAct.forward`."""
        for convolution in self.block:
            x = convolution(x, skip, weight, bias, height, width)
        return x


class FPNDecoder(nn.Module):
    """A pyramid of equal widths over the four deepest levels, each convolved up to the finest one and merged.

    Args:
        encoder_channels: ``out_channels`` of the encoder.
        encoder_reductions: ``reductions`` of the encoder, powers of two. Of the four levels from the deepest reduction
            to an eighth of it, those that the encoder lacks add nothing to the map that passes through them.
        pyramid_channels: width of the pyramid.
        segmentation_channels: width of the convolved levels, a multiple of 32.
        dropout: probability that a channel of the result is dropped in training.
        merge_policy: ``add`` or ``cat``.
        interpolation: mode of the upsampling in the pyramid.

    Attributes:
        out_channels, reduction: of the result.

    Raises:
        OptionError: an option has a value that it cannot take.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_reductions: Sequence[int],
        *,
        pyramid_channels: int = 256,
        segmentation_channels: int = 128,
        dropout: float = 0.2,
        merge_policy: str = "add",
        interpolation: str = "nearest",
    ) -> None:
        super().__init__()
        check_positive("decoder_pyramid_channels", pyramid_channels)
        check_positive("decoder_segmentation_channels", segmentation_channels)
        if segmentation_channels % NUM_GROUPS:
            raise OptionError(
                f"decoder_segmentation_channels must be a multiple of {NUM_GROUPS}, got {segmentation_channels}: "
                f"the channels are normalised in {NUM_GROUPS} groups"
            )
        if merge_policy not in MERGE_POLICIES:
            raise OptionError(
                f"unknown decoder_merge_policy {merge_policy!r}; expected one of {', '.join(MERGE_POLICIES)}"
            )
        check_interpolation(interpolation)
        indices = {reduction: index for index, reduction in enumerate(encoder_reductions)}
        self.reduction = encoder_reductions[-1] // 8
        self.indices = [indices.get(self.reduction * factor, -1) for factor in (4, 2, 1)]
        self.merge_policy = merge_policy
        self.out_channels = segmentation_channels * (4 if merge_policy == "cat" else 1)

        def level(index: int) -> PyramidLevel:
            return PyramidLevel(encoder_channels[index] if index >= 0 else 0, pyramid_channels, interpolation)

        self.p5 = nn.Conv2d(encoder_channels[-1], pyramid_channels, 1)
        self.p4, self.p3, self.p2 = (level(index) for index in self.indices)
        self.seg_blocks = nn.ModuleList(
            SegmentationBlock(pyramid_channels, segmentation_channels, num_convs) for num_convs in (3, 2, 1)
        )
        self.seg_blocks.append(FinestBlock(pyramid_channels, segmentation_channels, interpolation))
        self.dropout = nn.Dropout2d(check_probability("decoder_dropout", dropout), inplace=True)
        initialise_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, out_channels, H / reduction, W / reduction)."""
        x = features[-1]
        heights: list[int] = []
        widths: list[int] = []
        skips: list[Tensor | None] = []
        height, width = x.shape[2], x.shape[3]
        for index in self.indices:
            if index >= 0:
                height, width = features[index].shape[2], features[index].shape[3]
                skips.append(features[index])
            else:
                height, width = 2 * height, 2 * width
                skips.append(None)
            heights.append(height)
            widths.append(width)
        p5: Tensor = self.p5(x)
        p4: Tensor = self.p4(p5, skips[0], heights[0], widths[0])
        p3: Tensor = self.p3(p4, skips[1], heights[1], widths[1])
        # Each level up to the resolution of the last but one.
        coarse: list[Tensor] = [
            self.seg_blocks[0](p5, heights[:2], widths[:2]),
            self.seg_blocks[1](p4, heights[1:2], widths[1:2]),
            self.seg_blocks[2](p3, heights[2:2], widths[2:2]),
        ]
        weight, bias = self.p2.parameters_of_lateral()
        finest: Tensor = self.seg_blocks[3](p3, skips[2], weight, bias, heights[2], widths[2])
        merged: Tensor = self.dropout(self._merge(coarse, finest, heights[2], widths[2]))
        return merged

    def _merge(self, coarse: list[Tensor], finest: Tensor, height: int, width: int) -> Tensor:
        if self.merge_policy == "cat":
            maps = [upsample(x, height, width) for x in coarse]
            maps.append(finest)
            return torch.cat(maps, dim=1)
        # Interpolation is linear: the sum is upsampled once.
        total = coarse[0] + coarse[1]
        total += coarse[2]
        total = upsample(total, height, width)
        total += finest
        return total


def upsample(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, with corners aligned: (N, C, h, w) -> (N, C, height, width)."""
    return functional.interpolate(x, size=[height, width], mode="bilinear", align_corners=True)
