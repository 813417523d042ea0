"""One level of pyramid pooling (Zhao et al., Pyramid Scene Parsing Network, arXiv:1612.01105)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_core.layers.conv import ConvNormAct
from smp_core.layers.norm import Norm
from smp_core.layers.recording import is_recording

POOL_SIZES = (1, 2, 3, 6)
"""Height and width of the pooled maps, in pixels."""


class AveragePool2d(nn.AdaptiveAvgPool2d):
    """The means of size x size parts of a map: (N, C, H, W) -> (N, C, size, size).

    A recorded graph has them as two matrix products: the averages' own bounds would be those of the recorded size.

    >>> AveragePool2d(3)(torch.zeros(2, 8, 16, 10)).shape
    torch.Size([2, 8, 3, 3])
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        if self.size > 1 and is_recording(x):
            rows, columns = averages(x.shape[2], self.size, x), averages(x.shape[3], self.size, x)
            return rows @ (x @ columns.t())
        return torch.nn.functional.adaptive_avg_pool2d(x, self.size)


def averages(length: int, size: int, like: Tensor) -> Tensor:
    """The matrix that averages ``length`` values over ``size`` parts: (size, length), dtype and device of ``like``.

    Part i goes from floor(i * length / size) up to ceil((i + 1) * length / size).
    """
    part = torch.arange(size, device=like.device)[:, None]
    start = part * length // size
    end = ((part + 1) * length + size - 1) // size
    place = torch.arange(length, device=like.device)[None]
    inside = (place >= start) & (place < end)
    return inside.to(like.dtype) / (end - start).to(like.dtype)


class PooledConvNormAct(nn.Sequential):
    """Average to a fixed number of pixels, then 1x1 convolution, norm, ReLU.

    (N, in_channels, H, W) -> (N, out_channels, size, size). State-dict keys: ``1.0`` convolution, ``1.1`` norm.

    Args:
        in_channels, out_channels: number of channels.
        size: height and width of the result; 1 is the mean of the image.
        norm: see `smp_core.layers.build_norm`.

    >>> PooledConvNormAct(8, 4, size=3)(torch.zeros(2, 8, 16, 10)).shape
    torch.Size([2, 4, 3, 3])
    """

    def __init__(self, in_channels: int, out_channels: int, size: int, norm: Norm = "batchnorm") -> None:
        super().__init__(
            AveragePool2d(size),
            ConvNormAct(in_channels, out_channels, kernel_size=1, norm=norm, pooled=size == 1),
        )
