"""The decoder of Segformer (Xie et al., arXiv:2105.15203)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from smp_core.layers import ResizedConcatConv1x1, initialise_decoder
from smp_core.options import check_positive


class LevelProjection(nn.Module):
    """The linear map of one level, merged with the one that follows it. State-dict keys: ``linear.weight`` (width,
    in_channels), ``linear.bias`` (width,).

    Args:
        in_channels: channels of the level.
        width: channels of the projection.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, width)

    def forward(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """The matrix of the next linear map, (out_channels, width) -> weight and bias of the two in a row, as of a 1x1
        convolution: (out_channels, in_channels, 1, 1) and (out_channels,).
        """
        return torch.matmul(block, self.linear.weight)[:, :, None, None], torch.mv(block, self.linear.bias)


class LevelFusion(nn.Sequential):
    """The fusion, its norm and ReLU, with weights that the caller has merged; see `ResizedConcatConv1x1.project`."""

    def forward(  # type: ignore[override]
        self, maps: list[Tensor], weights: list[Tensor], bias: Tensor, height: int, width: int
    ) -> Tensor:
        """Levels (N, C_i, h_i, w_i) -> (N, out_channels, height, width)."""
        out: Tensor = self[2](self[1](self[0].project(maps, weights, bias, height, width)))  # type: ignore[operator]
        return out


class SegformerDecoder(nn.Module):
    """Project every level to one width, resize to 1/4 of the input, concatenate, fuse: linear up to the last norm.

    Written down, a level is multiplied by its own matrix, and then, at 1/4 of the input, by its block of the fusion's
    matrix. Two linear maps in a row are one, so each level is multiplied once, by the product of the two matrices, and
    at its own resolution (see `ResizedConcatConv1x1`). The parameters stay those of the two maps.

    Args:
        encoder_channels: ``out_channels`` of the encoder.
        encoder_reductions: ``reductions`` of the encoder. The level of the input's resolution is left out.
        width: channels of the projections and of the result.

    Attributes:
        out_channels, reduction: of the result.

    Raises:
        OptionError: the width is no positive int.
    """

    def __init__(self, encoder_channels: Sequence[int], encoder_reductions: Sequence[int], width: int = 256) -> None:
        super().__init__()
        check_positive("decoder_segmentation_channels", width)
        self.reduction = 4
        # Deepest first, the order of the parameters.
        levels = [index for index, reduction in enumerate(encoder_reductions) if reduction > 1][::-1]
        self.levels: list[int] = levels
        self.input_reduction: int = encoder_reductions[0]
        # The level that has the size of the result; sizes of its own keep dynamic graphs free of conditions on them.
        self.target = encoder_reductions.index(self.reduction) if self.reduction in encoder_reductions else -1
        self.out_channels = width
        self.mlp_stage = nn.ModuleList(LevelProjection(encoder_channels[index], width) for index in levels)
        fuse = ResizedConcatConv1x1(
            [width] * len(levels),
            width,
            resizing=[_resizing(encoder_reductions[index], self.reduction) for index in levels],
        )
        self.fuse_stage = LevelFusion(fuse, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        initialise_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, width, H / 4, W / 4)."""
        if self.target >= 0:
            height, width = features[self.target].shape[2], features[self.target].shape[3]
        else:
            height = features[0].shape[2] * self.input_reduction // self.reduction
            width = features[0].shape[3] * self.input_reduction // self.reduction
        weights, bias = self._merged()
        maps = [features[index] for index in self.levels]
        out: Tensor = self.fuse_stage(maps, weights, bias, height, width)
        return out

    def _merged(self) -> tuple[list[Tensor], Tensor]:
        """For each level the product of its two matrices, (width, C, 1, 1), and the sum of what the biases come to."""
        fusion = self.fuse_stage[0].weight
        assert isinstance(fusion, Tensor)
        blocks = fusion.flatten(1).split(self.out_channels, dim=1)
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        for number, stage in enumerate(self.mlp_stage):
            weight, bias = stage(blocks[number])
            weights.append(weight)
            biases.append(bias)
        return weights, torch.stack(biases).sum(0)


def _resizing(reduction: int, target: int) -> str:
    if reduction == target:
        return "none"
    return "after" if reduction > target else "before"
