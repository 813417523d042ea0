"""Concurrent spatial and channel squeeze and excitation (Roy et al., arXiv:1803.02579)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_core.errors import OptionError


class SCSE(nn.Module):
    """Weigh a map by a gate per channel plus a gate per pixel: (N, C, H, W) -> (N, C, H, W).

    Args:
        channels: C.
        reduction: the channel gate squeezes C to C // reduction. Below ``reduction`` channels nothing is left of the
            squeezed vector, and the gate is the constant that its last bias gives; the parameters keep that shape,
            so that checkpoints fit.

    >>> SCSE(32)(torch.zeros(2, 32, 8, 8)).shape
    torch.Size([2, 32, 8, 8])
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeezed = channels // reduction
        self.cSE = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            _conv1x1(channels, self.squeezed),
            nn.ReLU(inplace=True),
            _conv1x1(self.squeezed, channels),
            nn.Sigmoid(),
        )
        self.sSE = nn.Sequential(_conv1x1(channels, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        # One multiplication by the summed gates in place of two multiplications and a sum of full maps.
        spatial_gate: Tensor = self.sSE(x)
        return x * (self._channel_gate(x) + spatial_gate)

    def _channel_gate(self, x: Tensor) -> Tensor:
        if self.squeezed > 0:
            gate: Tensor = self.cSE(x)
            return gate
        # A convolution from zero channels is its bias; exporters do not take one.
        bias = self.cSE[3].bias
        assert isinstance(bias, Tensor)
        return torch.sigmoid(bias).view(1, -1, 1, 1)


def _conv1x1(in_channels: int, out_channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(max(in_channels, 1), max(out_channels, 1), 1)
    if not (in_channels and out_channels):
        # torch warns when it initialises an empty tensor, so the empty one is cut from another.
        assert conv.bias is not None
        conv.in_channels, conv.out_channels = in_channels, out_channels
        conv.weight = nn.Parameter(conv.weight.detach()[:out_channels, :in_channels].clone())
        conv.bias = nn.Parameter(conv.bias.detach()[:out_channels].clone())
    return conv


class Attention(nn.Module):
    """The attention that an option names; its parameters are under ``attention``."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.attention(x)
        return out


def build_attention(attention_type: str | None, channels: int) -> nn.Module:
    """Build a decoder's attention: None or ``"scse"``.

    Raises:
        OptionError: another name.
    """
    if attention_type is None:
        return Attention(nn.Identity())
    if attention_type == "scse":
        return Attention(SCSE(channels))
    raise OptionError(f"unknown attention {attention_type!r}; expected None or 'scse'")
