"""The decoder of FPN (Lin et al., arXiv:1612.03144), as Kirillov et al., arXiv:1901.02446, made it for segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.errors import OptionError
from smp_core.inference import Walk
from smp_core.layers import CONV1X1, CONV3X3, Fusing, initialise_decoder, is_stock, may_fuse
from smp_core.layers.upsample import check_interpolation, convolve_transposed, is_transposed
from smp_core.options import check_positive, check_probability
from smp_fpn.layers import NUM_GROUPS, ConvNormAct3x3, PyramidLevel, convolve_level

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
        """``heights`` and ``widths``: what the map is upsampled to before each convolution but the first.

        What somebody put behind the convolutions takes the map as it is.
        """
        for index, convolution in enumerate(self.block):
            if 0 < index <= len(heights):
                x = upsample(x, heights[index - 1], widths[index - 1])
            x = convolution(x)
        return x


class FPNDecoder(Fusing):
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
        self.interpolation = check_interpolation(interpolation)
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
            SegmentationBlock(pyramid_channels, segmentation_channels, num_convs) for num_convs in (3, 2, 1, 1)
        )
        self.dropout = nn.Dropout2d(check_probability("decoder_dropout", dropout), inplace=True)
        initialise_decoder(self)

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: its fast form reads what is in its parts then."""
        return walk.parts(self)

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
        finest = self._finest(p3, skips[2], heights[2], widths[2])
        merged: Tensor = self.dropout(self._merge(coarse, finest, heights[2], widths[2]))
        return merged

    def _finest(self, x: Tensor, skip: Tensor | None, height: int, width: int) -> Tensor:
        """The finest level, made of the one below and convolved: the largest map that there is, if it is stored."""
        if not torch.jit.is_scripting():
            fuses = may_fuse(x) and self.has_stock_parts()
            out = self.fused(x, skip, height, width) if fuses else self.plain(x, skip, height, width)
        elif self.fuses_in_script:
            out = self.fused(x, skip, height, width)
        else:
            out = self.plain(x, skip, height, width)
        return out

    def plain(self, x: Tensor, skip: Tensor | None, height: int, width: int) -> Tensor:
        """(N, C, h, w) and (N, skip channels, height, width) -> (N, out_channels, ...), by calling the parts."""
        empty: list[int] = []
        out: Tensor = self.seg_blocks[3](self.p2(x, skip, height, width), empty, empty)
        return out

    def has_stock_parts(self) -> bool:
        """See `smp_core.layers.Fusing`."""
        level: Any = self.p2
        segmentation: Any = self.seg_blocks[3]
        if not is_stock(level, PyramidLevel) or not is_stock(segmentation, SegmentationBlock):
            return False
        if level.skip_conv is not None and not is_stock(level.skip_conv, nn.Conv2d, CONV1X1):
            return False
        if not is_stock(segmentation.block, nn.Sequential) or len(segmentation.block) != 1:
            return False
        block = segmentation.block[0]
        if not is_stock(block, ConvNormAct3x3):
            return False
        return is_stock(block.block, nn.Sequential) and is_stock(block.block[0], nn.Conv2d, CONV3X3)

    def fused(self, x: Tensor, skip: Tensor | None, height: int, width: int) -> Tensor:
        """As `plain`, by `convolve_level` where that is faster."""
        if not is_transposed(x, height, width, self.interpolation):
            return self.plain(x, skip, height, width)
        convolutions = self.seg_blocks[3].block
        only = convolutions[0]  # type: ignore[index]
        block = only.block  # type: ignore[union-attr]
        convolution = block[0].weight, block[0].bias
        lateral = self.p2.skip_conv
        if lateral is not None and skip is not None:
            out = convolve_level(x, skip, (lateral.weight, lateral.bias), convolution, height, width)
        else:
            out = convolve_transposed(x, None, height, width, None, convolution[0], convolution[1])
        for index, layer in enumerate(block):
            if index > 0:
                out = layer(out)
        return out

    def _merge(self, coarse: list[Tensor], finest: Tensor, height: int, width: int) -> Tensor:
        if self.merge_policy == "cat":
            maps = [upsample(x, height, width) for x in coarse]
            maps.append(finest)
            return torch.cat(maps, dim=1)
        # Interpolation is linear: the sum is upsampled once.
        return upsample(coarse[0] + coarse[1] + coarse[2], height, width) + finest


def upsample(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, with corners aligned: (N, C, h, w) -> (N, C, height, width)."""
    return functional.interpolate(x, size=[height, width], mode="bilinear", align_corners=True)
