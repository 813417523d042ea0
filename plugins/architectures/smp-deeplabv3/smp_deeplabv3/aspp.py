"""Atrous spatial pyramid pooling (Chen et al., arXiv:1706.05587)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from smp_core.errors import OptionError
from smp_core.inference import Walk
from smp_core.layers import (
    CONV1X1,
    Fusing,
    MapDropout,
    PooledBatchNorm2d,
    ResizedConcat,
    SeparableConv2d,
    is_stock,
    may_fuse,
)

NUM_RATES = 3


def check_rates(rates: Iterable[int]) -> tuple[int, ...]:
    """Return the dilation rates if they are three ints of at least 1.

    Raises:
        OptionError: they are not.
    """
    values = tuple(rates) if isinstance(rates, Iterable) else ()
    if len(values) != NUM_RATES or not all(isinstance(value, int) and value >= 1 for value in values):
        raise OptionError(f"decoder_atrous_rates must be {NUM_RATES} ints of at least 1, got {rates!r}")
    return values


def norm_relu(channels: int, convolution: nn.Module) -> nn.Sequential:
    """A convolution, batch norm, ReLU; state-dict keys ``0`` and ``1``."""
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _atrous(in_channels: int, out_channels: int, rate: int, separable: bool) -> nn.Module:
    if separable:
        return SeparableConv2d(in_channels, out_channels, dilation=rate)
    return nn.Conv2d(in_channels, out_channels, 3, padding=rate, dilation=rate, bias=False)


class ASPP(Fusing):
    """One map seen at several scales: (N, in_channels, H, W) -> (N, out_channels, H, W).

    A 1x1 convolution, three 3x3 ones of different dilation and the mean of the image, fused by a 1x1 convolution. The
    mean is projected while it is one pixel, and added to every pixel; nothing is concatenated.

    Args:
        in_channels, out_channels: number of channels.
        rates: dilation of the 3x3 convolutions.
        separable: whether those are depth-wise separable.
        dropout: probability that a value of the result is dropped in training.
    """

    def __init__(
        self, in_channels: int, out_channels: int, rates: Iterable[int], *, separable: bool, dropout: float
    ) -> None:
        super().__init__()
        rates = check_rates(rates)
        self.convs = nn.ModuleList(
            [
                norm_relu(out_channels, nn.Conv2d(in_channels, out_channels, 1, bias=False)),
                *(norm_relu(out_channels, _atrous(in_channels, out_channels, rate, separable)) for rate in rates),
                nn.Sequential(
                    nn.AdaptiveAvgPool2d(1),
                    nn.Conv2d(in_channels, out_channels, 1, bias=False),
                    PooledBatchNorm2d(out_channels),
                    nn.ReLU(inplace=True),
                ),
            ]
        )
        resizing = [*("none" for _ in self.convs[:-1]), "broadcast"]
        self.resize = ResizedConcat(resizing)
        self.project = nn.Sequential(
            nn.Conv2d(len(resizing) * out_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            MapDropout(dropout),
        )

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: its fast form reads what is in its parts then."""
        return walk.parts(self)

    def forward(self, x: Tensor) -> Tensor:
        maps: list[Tensor] = [branch(x) for branch in self.convs]
        height, width = x.shape[2], x.shape[3]
        if not torch.jit.is_scripting():
            fuses = may_fuse(x) and self.has_stock_parts()
            out = self.fused(maps, height, width) if fuses else self.project(self.resize(maps, height, width))
        elif self.fuses_in_script:
            out = self.fused(maps, height, width)
        else:
            out = self.project(self.resize(maps, height, width))
        return out

    def has_stock_parts(self) -> bool:
        """See `smp_core.layers.Fusing`."""
        return is_stock(self.project, nn.Sequential) and is_stock(self.project[0], nn.Conv2d, CONV1X1)

    def fused(self, maps: list[Tensor], height: int, width: int) -> Tensor:
        """What ``project`` makes of the concatenation, which is not made."""
        conv = self.project[0]
        out: Tensor = self.resize.project(maps, conv.weight, conv.bias, height, width)  # type: ignore[arg-type]
        for index, layer in enumerate(self.project):
            if index > 0:
                out = layer(out)
        return out
