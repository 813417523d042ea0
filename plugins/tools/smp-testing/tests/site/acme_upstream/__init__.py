"""Somebody else's model, which looks into tensors while it is built, as many do."""

import torch
from torch import nn


class Upstream(nn.Module):
    """Residual blocks whose rates are read off a tensor."""

    def __init__(self, in_channels, widths):
        super().__init__()
        rates = [rate.item() for rate in torch.linspace(1.0, 0.5, len(widths))]
        sources = (in_channels, *widths[:-1])
        self.blocks = nn.ModuleList(
            Block(source, width, rate) for source, width, rate in zip(sources, widths, rates, strict=True)
        )


class Block(nn.Module):
    def __init__(self, source, width, rate):
        super().__init__()
        self.rate = rate
        self.down = nn.Conv2d(source, width, 3, 2, 1)
        self.conv = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x):
        x = self.down(x)
        return x + self.rate * nn.functional.gelu(self.conv(x))
