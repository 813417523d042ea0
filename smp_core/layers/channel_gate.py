"""Squeeze and excitation: one gate for each channel (Hu et al., arXiv:1709.01507)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


class ChannelGate(nn.Sequential):
    """Pool, 1x1 convolution, ReLU, 1x1 convolution, sigmoid: (N, channels, H, W) -> gates (N, channels, 1, 1).

    State-dict keys: ``1`` (squeezed, channels, 1, 1) and ``3`` (channels, squeezed, 1, 1), both with a bias.

    Args:
        channels: channels of the map.
        squeezed: channels between the convolutions. With 0 nothing is left of the map, and the gate is the constant
            that the last bias gives; the parameters keep that shape, so that checkpoints fit.

    >>> ChannelGate(32, 2)(torch.zeros(2, 32, 8, 8)).shape
    torch.Size([2, 32, 1, 1])
    """

    __constants__: ClassVar[list[str]] = ["is_constant"]

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            _conv1x1(channels, squeezed),
            nn.ReLU(inplace=True),
            _conv1x1(squeezed, channels),
            nn.Sigmoid(),
        )
        self.is_constant = squeezed == 0

    def forward(self, x: Tensor) -> Tensor:
        if self.is_constant:
            # A convolution from zero channels is its bias; exporters do not take one.
            bias = self[3].bias
            assert isinstance(bias, Tensor)
            return torch.sigmoid(bias).view(1, -1, 1, 1)
        for layer in self:
            x = layer(x)
        return x


def _conv1x1(in_channels: int, out_channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(max(in_channels, 1), max(out_channels, 1), 1)
    if not (in_channels and out_channels):
        # torch warns when it initialises an empty tensor, so the empty one is cut from another.
        assert conv.bias is not None
        conv.in_channels, conv.out_channels = in_channels, out_channels
        conv.weight = nn.Parameter(conv.weight.detach()[:out_channels, :in_channels].clone())
        conv.bias = nn.Parameter(conv.bias.detach()[:out_channels].clone())
        for parameter in conv.parameters():
            parameter.requires_grad_(parameter.numel() > 0)  # there for its key alone
    return conv
