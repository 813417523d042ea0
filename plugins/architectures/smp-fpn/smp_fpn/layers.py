"""The parts of FPN's decoder."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from smp_core.layers import UpsampleConcatConv2d

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
            x += self.skip_conv(skip)
        return x

    def parameters_of_lateral(self) -> tuple[Tensor | None, Tensor | None]:
        """Weight and bias of the 1x1 convolution, for a caller that merges it with what follows."""
        if self.skip_conv is None:
            return None, None
        return self.skip_conv.weight, self.skip_conv.bias


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


class MergedConvNormAct(nn.Module):
    """`PyramidLevel` and `ConvNormAct3x3` in a row; the map between them, the decoder's largest, need not be stored.

    State-dict keys and shapes: those of `ConvNormAct3x3`.

    Args:
        in_channels: channels of the pyramid.
        out_channels: channels of the result.
        interpolation: mode of the upsampling.
    """

    def __init__(self, in_channels: int, out_channels: int, interpolation: str) -> None:
        super().__init__()
        self.block = _MergedSequence(
            MergedConv2d(in_channels, 0, out_channels, bias=False, interpolation=interpolation),
            nn.GroupNorm(NUM_GROUPS, out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(
        self, x: Tensor, skip: Tensor | None, weight: Tensor | None, bias: Tensor | None, height: int, width: int
    ) -> Tensor:
        """See `MergedConv2d.forward`."""
        out: Tensor = self.block(x, skip, weight, bias, height, width)
        return out


class _MergedSequence(nn.Sequential):
    def forward(  # type: ignore[override]
        self, x: Tensor, skip: Tensor | None, weight: Tensor | None, bias: Tensor | None, height: int, width: int
    ) -> Tensor:
        out: Tensor = self[2](self[1](self[0](x, skip, weight, bias, height, width)))
        return out


class MergedConv2d(UpsampleConcatConv2d):
    """3x3 convolution of an upsampled map plus a 1x1 convolution of a skip: ``conv(interpolate(x) + conv1x1(skip))``.

    Both convolutions are linear, so it equals ``conv(interpolate(x)) + merged(skip)``, where the first term is a
    transposed convolution (see `smp_core.layers.upsample`) and the second one a 3x3 convolution whose kernel is the
    product of the two. Padding stands between them: the bias of the 1x1 convolution must not reach the padded pixels,
    so it is added to the map that is upsampled.

    Args:
        up_channels, skip_channels, out_channels, bias, interpolation: as for `UpsampleConcatConv2d`; no skip channels,
            as those of the skip are the 1x1 convolution's matter.
    """

    def forward(  # type: ignore[override]
        self, x: Tensor, skip: Tensor | None, weight: Tensor | None, bias: Tensor | None, height: int, width: int
    ) -> Tensor:
        """Convolve the sum.

        Args:
            x: (N, up_channels, h, w).
            skip: (N, C, height, width), or None.
            weight, bias: of the 1x1 convolution, (up_channels, C, 1, 1) and (up_channels,); None with the skip.
            height, width: size of the result.

        Returns:
            (N, out_channels, height, width)
        """
        transposed = self._is_transposed(x, height, width)
        if skip is None or weight is None or bias is None:
            if transposed:
                return self._transposed(x, None, height, width, None)
            return self.convolve(self.upsample_concat(x, None, height, width))
        if transposed:
            out = self._transposed(x + bias[:, None, None], None, height, width, None)
            out += functional.conv2d(skip, self._merged(weight), padding=1)
            return out
        x = self.upsample_concat(x, None, height, width)
        x += functional.conv2d(skip, weight, bias)
        return self.convolve(x)

    def _merged(self, weight: Tensor) -> Tensor:
        """The kernel of the two convolutions in a row: (out_channels, C, 3, 3)."""
        product = self.weight.permute(0, 2, 3, 1) @ weight[:, :, 0, 0]
        return product.permute(0, 3, 1, 2)
