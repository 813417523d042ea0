"""The decoder of Segformer (Xie et al., arXiv:2105.15203)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from smp_core.inference import Walk
from smp_core.layers import CONV1X1, Fusing, ResizedConcat, initialise_decoder, is_stock, may_fuse
from smp_core.options import check_positive
from smp_segformer.merged import MergedDecoder, size_of_result


class LevelProjection(nn.Module):
    """The linear map of one level, pixel by pixel: (N, in_channels, H, W) -> (N, width, H, W).

    State-dict keys: ``linear.weight`` (width, in_channels), ``linear.bias`` (width,).

    Args:
        in_channels: channels of the level.
        width: channels of the projection.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out

    def merged(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """With the matrix of the next linear map, (out_channels, width): weight and bias of the two in a row.

        As of a 1x1 convolution: (out_channels, in_channels, 1, 1) and (out_channels,).
        """
        return torch.matmul(block, self.linear.weight)[:, :, None, None], torch.mv(block, self.linear.bias)


class SegformerDecoder(Fusing):
    """Project every level to one width, resize to 1/4 of the input, concatenate, fuse: linear up to the last norm.

    Written down, a level is multiplied by its own matrix, and then, at 1/4 of the input, by its block of the fusion's
    matrix. Two linear maps in a row are one, so each level is multiplied once, by the product of the two matrices, and
    at its own resolution (see `ResizedConcat`). The parameters stay those of the two maps.

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
        self.resize = ResizedConcat([_resizing(encoder_reductions[index], self.reduction) for index in levels])
        self.fuse_stage = nn.Sequential(
            nn.Conv2d(width * len(levels), width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        initialise_decoder(self)

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: the merged matrices, made once."""
        walk.parts(self)
        if not self.has_stock_parts():
            return self
        weights, bias = self.merged()
        return MergedDecoder(self, weights, bias)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, width, H / 4, W / 4)."""
        height, width = size_of_result(features, self.target, self.input_reduction, self.reduction)
        maps = [features[index] for index in self.levels]
        if not torch.jit.is_scripting():
            fuses = may_fuse(maps[0]) and self.has_stock_parts()
            out = self.fused(maps, height, width) if fuses else self.plain(maps, height, width)
        elif self.fuses_in_script:
            out = self.fused(maps, height, width)
        else:
            out = self.plain(maps, height, width)
        return out

    def plain(self, maps: list[Tensor], height: int, width: int) -> Tensor:
        """Levels (N, C_i, h_i, w_i), deepest first -> (N, width, height, width), by calling the parts."""
        projected: list[Tensor] = []
        for number, stage in enumerate(self.mlp_stage):
            projected.append(stage(maps[number]))
        out: Tensor = self.fuse_stage(self.resize(projected, height, width))
        return out

    def has_stock_parts(self) -> bool:
        """See `smp_core.layers.Fusing`."""
        for stage in self.mlp_stage:
            if not is_stock(stage, LevelProjection) or not is_stock(stage.linear, nn.Linear):
                return False
            if stage.linear.bias is None or stage.linear.out_features != self.out_channels:  # type: ignore[union-attr]
                return False
        return is_stock(self.fuse_stage, nn.Sequential) and is_stock(self.fuse_stage[0], nn.Conv2d, CONV1X1)

    def fused(self, maps: list[Tensor], height: int, width: int) -> Tensor:
        """As `plain`, each level multiplied once, by the product of its two matrices."""
        weights, bias = self.merged()
        out = self.resize.project_each(maps, weights, bias, height, width)
        for index, layer in enumerate(self.fuse_stage):
            if index > 0:
                out = layer(out)
        return out

    def merged(self) -> tuple[list[Tensor], Tensor]:
        """Of each level the product of its two matrices, (width, C_i, 1, 1), and the bias of them all, (width,)."""
        fusion = self.fuse_stage[0]
        blocks = fusion.weight.flatten(1).split(self.out_channels, dim=1)  # type: ignore[operator]
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        for number, stage in enumerate(self.mlp_stage):
            weight, bias = stage.merged(blocks[number])  # type: ignore[operator]
            weights.append(weight)
            biases.append(bias)
        last_bias: Tensor | None = fusion.bias  # type: ignore[assignment]
        if last_bias is not None:
            biases.append(last_bias)
        return weights, torch.stack(biases).sum(0)


def _resizing(reduction: int, target: int) -> str:
    if reduction == target:
        return "none"
    return "after" if reduction > target else "before"
