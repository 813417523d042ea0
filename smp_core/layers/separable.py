"""Depth-wise separable convolution (Chollet, Xception, arXiv:1610.02357)."""

from __future__ import annotations

from torch import nn


class SeparableConv2d(nn.Sequential):
    """A convolution in each channel, then a 1x1 convolution: (N, in_channels, H, W) -> (N, out_channels, H, W).

    Neither has a bias, and nothing stands between them. State-dict keys: ``0.weight`` (in_channels, 1, k, k) and
    ``1.weight`` (out_channels, in_channels, 1, 1).

    Args:
        in_channels, out_channels: number of channels.
        kernel_size: k, odd; padded to keep the size.
        dilation: of the depth-wise convolution.

    >>> SeparableConv2d(8, 4, dilation=2)(torch.zeros(2, 8, 16, 10)).shape
    torch.Size([2, 4, 16, 10])
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(
                in_channels,
                in_channels,
                kernel_size,
                padding=kernel_size // 2 * dilation,
                dilation=dilation,
                groups=in_channels,
                bias=False,
            ),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
        )
