"""The head of the linear probe: all that it learns beside a norm."""

from __future__ import annotations

from torch import nn

from smp_core.heads import Activation
from smp_core.layers import build_activation, initialise_head


class LinearSegmentationHead(nn.Sequential):
    """1x1 convolution, bilinear upsampling, activation: (N, in_channels, h, w) -> (N, classes, h * f, w * f).

    State-dict keys: ``0``, the convolution.

    Args:
        in_channels: channels of the decoder's output.
        classes: channels of the result.
        activation: see `smp_core.layers.build_activation`.
        upsampling: the factor f; corners are not aligned.
    """

    def __init__(self, in_channels: int, classes: int, activation: Activation = None, upsampling: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, classes, 1),
            nn.Upsample(scale_factor=upsampling, mode="bilinear", align_corners=False)
            if upsampling > 1
            else nn.Identity(),
            build_activation(activation),
        )
        initialise_head(self)
