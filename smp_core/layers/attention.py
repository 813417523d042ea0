"""Concurrent spatial and channel squeeze and excitation (Roy et al., arXiv:1803.02579)."""

from __future__ import annotations

from torch import Tensor, nn

from smp_core.errors import OptionError
from smp_core.layers.channel_gate import ChannelGate


class SCSE(nn.Module):
    """Weigh a map by a gate per channel plus a gate per pixel: (N, C, H, W) -> (N, C, H, W).

    Args:
        channels: C.
        reduction: the channel gate squeezes C to C // reduction, below ``reduction`` channels to nothing; see
            `ChannelGate`.

    >>> SCSE(32)(torch.zeros(2, 32, 8, 8)).shape
    torch.Size([2, 32, 8, 8])
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.cSE = ChannelGate(channels, channels // reduction)
        self.sSE = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        # One multiplication by the summed gates in place of two multiplications and a sum of full maps.
        channel_gate: Tensor = self.cSE(x)
        spatial_gate: Tensor = self.sSE(x)
        return x * (channel_gate + spatial_gate)


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
