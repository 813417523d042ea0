"""The decoder of PSPNet (Zhao et al., Pyramid Scene Parsing Network, arXiv:1612.01105)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_core.inference import Walk
from smp_core.layers import (
    CONV1X1,
    ConvNormAct,
    Fusing,
    PooledConvNormAct,
    ResizedConcat,
    initialise_decoder,
    is_stock,
    may_fuse,
)
from smp_core.layers.norm import Norm
from smp_core.layers.pyramid_pooling import POOL_SIZES


class PSPBlock(nn.Module):
    """One level of the pyramid: (N, in_channels, H, W) -> (N, out_channels, size, size).

    The level of one pixel has no norm: one image alone leaves nothing to normalise.

    Args:
        in_channels, out_channels, size, norm: see `smp_core.layers.PooledConvNormAct`.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int, norm: Norm) -> None:
        super().__init__()
        self.pool = PooledConvNormAct(in_channels, out_channels, size, norm if size > 1 else "identity")

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pool(x)
        return out


class PSPModule(nn.Module):
    """Averages of the parts of a map: (N, in_channels, H, W) -> one (N, out_channels, s, s) for each pool size s."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(PSPBlock(in_channels, out_channels, size, norm) for size in POOL_SIZES)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [block(x) for block in self.blocks]


class PSPDecoder(Fusing):
    """Pyramid pooling of the deepest feature, fused with the feature itself.

    The levels are projected where they are a few pixels, then enlarged: see `smp_core.layers.ResizedConcat`.

    Args:
        in_channels: channels of the deepest feature.
        reduction: of the deepest feature.
        out_channels: channels of the result.
        norm: see `smp_core.layers.build_norm`.
        dropout: probability that a channel of the result is dropped in training.

    Attributes:
        out_channels, reduction: of the result.
    """

    def __init__(
        self, in_channels: int, reduction: int, out_channels: int, *, norm: Norm = "batchnorm", dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.reduction = reduction
        pooled = in_channels // len(POOL_SIZES)
        self.psp = PSPModule(in_channels, pooled, norm)
        self.resize = ResizedConcat(
            [*("after" if size > 1 else "broadcast" for size in POOL_SIZES), "none"], align_corners=True
        )
        self.conv = ConvNormAct(pooled * len(POOL_SIZES) + in_channels, out_channels, kernel_size=1, norm=norm)
        self.dropout = nn.Dropout2d(p=dropout)
        initialise_decoder(self)

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: its fast form reads what is in its parts then."""
        return walk.parts(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features, (N, in_channels, h, w) the last -> (N, out_channels, h, w)."""
        x = features[-1]
        maps: list[Tensor] = self.psp(x)
        maps.append(x)
        height, width = x.shape[2], x.shape[3]
        if not torch.jit.is_scripting():
            fuses = may_fuse(x) and self.has_stock_parts()
            x = self.fused(maps, height, width) if fuses else self.conv(self.resize(maps, height, width))
        elif self.fuses_in_script:
            x = self.fused(maps, height, width)
        else:
            x = self.conv(self.resize(maps, height, width))
        out: Tensor = self.dropout(x)
        return out

    def has_stock_parts(self) -> bool:
        """See `smp_core.layers.Fusing`."""
        return is_stock(self.conv, ConvNormAct) and is_stock(self.conv[0], nn.Conv2d, CONV1X1)

    def fused(self, maps: list[Tensor], height: int, width: int) -> Tensor:
        """What ``conv`` makes of the concatenation, which is not made."""
        conv = self.conv[0]
        out: Tensor = self.resize.project(maps, conv.weight, conv.bias, height, width)  # type: ignore[arg-type]
        for index, layer in enumerate(self.conv):
            if index > 0:
                out = layer(out)
        return out
