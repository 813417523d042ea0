"""The head of DPT."""

from __future__ import annotations

from fractions import Fraction

from torch import Tensor, nn
from torch.nn import functional

from smp_core.heads import Activation
from smp_core.layers import build_activation, initialise_head


class DPTSegmentationHead(nn.Module):
    """3x3 convolution, norm, ReLU, dropout, 1x1 convolution, upsampling: (N, in_channels, h, w) -> (N, classes, H, W).

    State-dict keys: ``head.0`` convolution without bias, ``head.1`` norm, ``head.4`` convolution.

    Args:
        in_channels: channels of the decoder's output.
        classes: channels of the result.
        activation: see `smp_core.layers.build_activation`.
        upsampling: H / h.
    """

    def __init__(
        self, in_channels: int, classes: int, activation: Activation = None, upsampling: Fraction = Fraction(2)
    ) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(in_channels),
            nn.ReLU(inplace=True),
            nn.Dropout(0.1),
            nn.Conv2d(in_channels, classes, 1),
        )
        self.activation = build_activation(activation)
        self.numerator, self.denominator = upsampling.numerator, upsampling.denominator
        initialise_head(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        size = [x.shape[2] * self.numerator // self.denominator, x.shape[3] * self.numerator // self.denominator]
        x = functional.interpolate(x, size=size, mode="bilinear", align_corners=True)
        out: Tensor = self.activation(x)
        return out
