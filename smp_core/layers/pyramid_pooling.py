"""One level of pyramid pooling (Zhao et al., Pyramid Scene Parsing Network, arXiv:1612.01105)."""

from __future__ import annotations

from torch import nn

from smp_core.layers.conv import ConvNormAct
from smp_core.layers.norm import Norm

POOL_SIZES = (1, 2, 3, 6)
"""Height and width of the pooled maps, in pixels."""


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
            nn.AdaptiveAvgPool2d(size),
            ConvNormAct(in_channels, out_channels, kernel_size=1, norm=norm, pooled=size == 1),
        )
