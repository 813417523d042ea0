"""MobileNetV2 (Sandler et al., arXiv:1801.04381) as a feature pyramid.

Module names are torchvision's, so that published state dicts load as they are.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.layers import initialise_encoder

# The inverted residuals of the paper's table 2: expansion t, channels c, number of blocks n, stride s of the first.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

# Index of the module in ``features`` after which the feature of reduction 2, 4, 8, 16, 32 is taken: the last of its
# resolution.
_TAPS = (1, 3, 6, 13, 18)


class ConvNormReLU6(nn.Sequential):
    """Convolution, batch norm, ReLU6: (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    """Expand, convolve depth-wise, project: (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride).

    The input is added where it has the shape of the result.

    Args:
        in_channels, out_channels: of the narrow ends.
        stride: of the depth-wise convolution.
        expansion: width between the ends, as a multiple of ``in_channels``; 1 leaves the expanding convolution out.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        expand = [] if expansion == 1 else [ConvNormReLU6(in_channels, width, 1)]
        self.conv = nn.Sequential(
            *expand,
            ConvNormReLU6(width, width, 3, stride, groups=width),
            nn.Conv2d(width, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out + x if self.residual else out


class MobileNetV2Encoder(EncoderBase):
    """MobileNetV2: features are the input, and the last map of each resolution; the deepest has 1280 channels.

    Args:
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`; depth 1 to 5.
    """

    first_convolution: ClassVar[str] = "features.0.0"
    channels_last: ClassVar[bool] = True

    def __init__(self, *, in_channels: int = 3, depth: int = 5, output_stride: int = 32) -> None:
        super().__init__(
            out_channels=(in_channels, 16, 24, 32, 96, 1280),
            reductions=(1, 2, 4, 8, 16, 32),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            # The classifier of published weights, and the blocks that are not built.
            ignored_keys=("classifier.", *(f"features.{index}." for index in range(_TAPS[depth - 1] + 1, 19))),
        )
        layers: list[nn.Module] = [ConvNormReLU6(in_channels, 32, 3, stride=2)]
        channels = 32
        for expansion, width, blocks, stride in _STAGES:
            for index in range(blocks):
                layers.append(InvertedResidual(channels, width, stride if index == 0 else 1, expansion))
                channels = width
        layers.append(ConvNormReLU6(channels, 1280, 1))
        self._taps = _TAPS[:depth]
        self.features = nn.Sequential(*layers[: _TAPS[depth - 1] + 1])
        self.dilate(self.features[_TAPS[2] + 1 : _TAPS[3] + 1], reduction=16)
        self.dilate(self.features[_TAPS[3] + 1 :], reduction=32)
        initialise_encoder(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return self.stages_of_list("features", self._taps)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = [x]
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                features.append(x)
        return features
