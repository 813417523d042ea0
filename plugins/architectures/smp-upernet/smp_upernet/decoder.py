"""The decoder of UPerNet (Xiao et al., Unified Perceptual Parsing for Scene Understanding, arXiv:1807.10221)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.inference import Walk
from smp_core.layers import (
    CONV3X3,
    ConvNormAct,
    LayerNorm2d,
    PooledConvNormAct,
    convolve_resized,
    form_for,
    initialise_decoder,
    is_stock,
    may_fuse,
    resize_concat,
)
from smp_core.layers.norm import Norm
from smp_core.layers.pyramid_pooling import POOL_SIZES
from smp_core.layers.recording import is_eager, is_recording

_SHALLOWEST = 4


class PSPModule(nn.Module):
    """Pyramid pooling, fused with the map itself: (N, in_channels, H, W) -> (N, out_channels, H, W).

    Args:
        in_channels, out_channels: number of channels; a pooled level has out_channels too.
        norm: of the pooled levels; see `smp_core.layers.build_norm`. The fusion has batch norm in any case, as
            published checkpoints have.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(PooledConvNormAct(in_channels, out_channels, size, norm) for size in POOL_SIZES)
        self.out_conv = _fusion([in_channels, *(out_channels for _ in POOL_SIZES)], out_channels, "batchnorm")

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: its fast form reads what is in its parts then."""
        return walk.parts(self)

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        maps.extend([block(x) for block in self.blocks])
        if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
            if _fuses(self.out_conv, x):
                return _fused(self.out_conv, maps)
        out: Tensor = self.out_conv(resize_concat(maps, x.shape[2], x.shape[3]))
        return out


class FPNLateralBlock(nn.Module):
    """Project a feature and add the map from below: (N, in_channels, H, W) -> (N, out_channels, H, W).

    Args:
        in_channels, out_channels: number of channels.
        norm: see `smp_core.layers.build_norm`.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv_norm_relu = ConvNormAct(in_channels, out_channels, kernel_size=1, norm=norm)

    def forward(self, feature: Tensor, below: Tensor) -> Tensor:
        """(N, in_channels, H, W) and (N, out_channels, h, w) -> (N, out_channels, H, W)."""
        out: Tensor = self.conv_norm_relu(feature)
        below = functional.interpolate(below, size=[out.shape[2], out.shape[3]], mode="bilinear", align_corners=False)
        return below + out


class UPerNetDecoder(nn.Module):
    """Pyramid pooling of the deepest feature, a feature pyramid network above it, all levels fused at 1/4.

    Args:
        encoder_channels: ``out_channels`` of the encoder.
        encoder_reductions: ``reductions`` of the encoder; those of 4 and deeper are used.
        out_channels: channels of the decoder.
        norm: see `smp_core.layers.build_norm`.

    Attributes:
        out_channels, reduction: of the result.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_reductions: Sequence[int],
        out_channels: int,
        *,
        norm: Norm = "batchnorm",
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.reduction = _SHALLOWEST
        self.first = list(encoder_reductions).index(_SHALLOWEST)
        channels = list(encoder_channels[self.first :])
        laterals = channels[-2::-1]
        self.feature_norms = nn.ModuleList(LayerNorm2d(count, eps=1e-6) for count in channels)
        self.psp = PSPModule(channels[-1], out_channels, norm)
        self.fpn_lateral_blocks = nn.ModuleList(FPNLateralBlock(count, out_channels, norm) for count in laterals)
        self.fpn_conv_blocks = nn.ModuleList(
            ConvNormAct(out_channels, out_channels, kernel_size=3, padding=1, norm=norm) for _ in laterals
        )
        self.fusion_block = _fusion([out_channels for _ in channels], out_channels, norm)
        initialise_decoder(self)

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: its fast form reads what is in its parts then."""
        return walk.parts(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, out_channels, H / 4, W / 4)."""
        levels: list[Tensor] = []
        for index, norm in enumerate(self.feature_norms):
            # The norms give maps with their channels innermost, which all that follows takes as they are; but a graph
            # for every size would test for that at each convolution.
            level: Tensor = norm(features[self.first + index])
            levels.append(level.contiguous() if is_recording(level) else level)
        x: Tensor = self.psp(levels[-1])
        states = [x]
        for index, lateral in enumerate(self.fpn_lateral_blocks):
            x = lateral(levels[-2 - index], x)
            states.append(x)
        # Deepest first, as the blocks are; the fusion takes them shallowest first.
        maps = [states[0]]
        for index, block in enumerate(self.fpn_conv_blocks):
            maps.append(block(states[1 + index]))
        maps.reverse()
        if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
            if _fuses(self.fusion_block, x):
                return _fused(self.fusion_block, maps)
        out: Tensor = self.fusion_block(resize_concat(maps, x.shape[2], x.shape[3]))
        return out


def _fusion(branch_channels: Sequence[int], out_channels: int, norm: Norm) -> ConvNormAct:
    return ConvNormAct(sum(branch_channels), out_channels, kernel_size=3, padding=1, norm=norm)


def _fuses(block: nn.Module, x: Tensor) -> bool:
    """Whether `_fused` gives what the block makes of the concatenation, and is faster."""
    if not may_fuse(x) or not is_eager(x) or form_for("resized_conv3x3", x) != "matrices":
        return False
    return is_stock(block, ConvNormAct) and is_stock(block[0], nn.Conv2d, CONV3X3)  # type: ignore[index]


def _fused(block: Any, maps: list[Tensor]) -> Tensor:
    """What a `ConvNormAct` makes of the maps, resized to the first one and concatenated."""
    convolution = block[0]
    height, width = maps[0].shape[2], maps[0].shape[3]
    out: Tensor = convolve_resized(maps, convolution.weight, convolution.bias, height, width)
    for layer in itertools.islice(block, 1, None):
        out = layer(out)
    return out
