"""The parts of FPN's decoder."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from smp_core.layers.upsample import convolve_transposed

NUM_GROUPS = 32


class PyramidLevel(nn.Module):
    """The map from below, upsampled, plus a 1x1 convolution of the encoder's level.

    State-dict keys: ``skip_conv.weight`` (out_channels, skip_channels, 1, 1), ``skip_conv.bias`` (out_channels,), where
    the level exists.

    Args:
        skip_channels: channels of the encoder's level; 0 where it has none.
        out_channels: channels of the pyramid.
        interpolation: mode of the upsampling.
    """

    def __init__(self, skip_channels: int, out_channels: int, interpolation: str) -> None:
        super().__init__()
        self.interpolation = interpolation
        self.skip_conv = nn.Conv2d(skip_channels, out_channels, 1) if skip_channels else None

    def forward(self, x: Tensor, skip: Tensor | None, height: int, width: int) -> Tensor:
        """(N, out_channels, h, w) and (N, skip_channels, height, width) -> (N, out_channels, height, width)."""
        x = functional.interpolate(x, size=[height, width], mode=self.interpolation)
        if self.skip_conv is not None and skip is not None:
            x = x + self.skip_conv(skip)
        return x


class ConvNormAct3x3(nn.Module):
    """3x3 convolution, group norm, ReLU: (N, in_channels, H, W) -> (N, out_channels, H, W).

    State-dict keys: ``block.0`` convolution, ``block.1`` norm.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.GroupNorm(NUM_GROUPS, out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return out


def convolve_level(
    x: Tensor,
    skip: Tensor,
    lateral: tuple[Tensor, Tensor | None],
    convolution: tuple[Tensor, Tensor | None],
    height: int,
    width: int,
) -> Tensor:
    """`PyramidLevel` and the convolution of a `ConvNormAct3x3`; the map between them need not be stored.

    Both convolutions are linear, so ``conv(interpolate(x) + conv1x1(skip))`` equals ``conv(interpolate(x)) +
    merged(skip)``, where the first term is a transposed convolution (see `smp_core.layers.upsample`) and the second one
    a 3x3 convolution whose kernel is the product of the two. Padding stands between them: the bias of the 1x1
    convolution must not reach the padded pixels, so it is added to the map that is upsampled.

    Args:
        x: (N, up_channels, h, w), where `smp_core.layers.upsample.is_transposed`.
        skip: (N, C, height, width).
        lateral: weight and bias of the 1x1 convolution, (up_channels, C, 1, 1) and (up_channels,) or None.
        convolution: those of the 3x3 convolution, (out_channels, up_channels, 3, 3) and (out_channels,) or None.
        height, width: size of the result.

    Returns:
        (N, out_channels, height, width)
    """
    weight, bias = lateral
    kernel, last_bias = convolution
    if bias is not None:
        x = x + bias[:, None, None]
    out = convolve_transposed(x, None, height, width, None, kernel, last_bias)
    merged = (kernel.permute(0, 2, 3, 1) @ weight[:, :, 0, 0]).permute(0, 3, 1, 2)
    out += functional.conv2d(skip, merged, padding=1)
    return out
