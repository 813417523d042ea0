"""Upsample, concatenate, convolve: the step that U-shaped decoders repeat at every level.

Written down plainly, ``conv(cat([upsample(x), skip]))`` stores the upsampled map and the concatenation, both at the
higher resolution, and multiplies nine times for every input that nearest-neighbour upsampling has only repeated.
Two identities avoid that:

* a convolution is linear in its input channels: ``conv(cat([u, s])) = conv_u(u) + conv_s(s)`` with the weight split;
* a 3x3 convolution of a map upsampled twofold by nearest neighbour is one 4x4 transposed convolution of stride 2 and
  padding 1, whose kernel is the flipped 3x3 kernel summed over its four shifts.

The parameters stay those of the plain 3x3 convolution, so every checkpoint fits either form.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.errors import OptionError
from smp_core.layers.conv import activation_after, needs_bias
from smp_core.layers.norm import Norm, build_norm
from smp_core.layers.recording import is_recording

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area", "nearest-exact")

# The device type where the transposed form has been measured to be faster; others keep the plain form until they are.
_TRANSPOSED_DEVICE = "cpu"


def check_interpolation(mode: str) -> str:
    """Return the mode if `torch.nn.functional.interpolate` takes it for maps.

    Raises:
        OptionError: it does not.
    """
    if mode not in INTERPOLATIONS:
        raise OptionError(f"unknown interpolation {mode!r}; expected one of {', '.join(INTERPOLATIONS)}")
    return mode


def transposed_kernel(weight: Tensor) -> Tensor:
    """The 4x4 kernel whose stride-2 transposed convolution equals upsampling twofold and convolving with ``weight``.

    Args:
        weight: (out_channels, in_channels, 3, 3).

    Returns:
        (in_channels, out_channels, 4, 4), the layout of `torch.nn.functional.conv_transpose2d`.
    """
    # Which places of an axis of the 4x4 window a place of the 3x3 kernel reaches: flipped, and shifted by one.
    reach = torch.tensor(
        [[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]], dtype=weight.dtype, device=weight.device
    )
    spread = (reach[:, None, :, None] * reach[None, :, None, :]).reshape(9, 16)
    # One small matrix product: for the many channels of the deepest levels it takes a tenth of the time of adding up
    # padded copies, which there is as long as the convolution itself.
    kernel = weight.reshape(-1, 9) @ spread
    return kernel.view(weight.shape[0], weight.shape[1], 4, 4).transpose(0, 1)


class UpsampleConcatConv2d(nn.Conv2d):
    """3x3 convolution of an upsampled map and a skip, neither upsampled map nor concatenation stored where avoidable.

    Equals ``conv(cat([interpolate(x, size), skip]))``. The parameters are those of
    ``nn.Conv2d(up_channels + skip_channels, out_channels, 3, padding=1)``.

    Args:
        up_channels: channels of the map to upsample.
        skip_channels: channels of the skip; 0 where there is none.
        out_channels: channels of the result.
        bias: whether there is a bias.
        interpolation: any of `INTERPOLATIONS`. Only ``nearest`` has the fast form.
    """

    def __init__(
        self, up_channels: int, skip_channels: int, out_channels: int, *, bias: bool, interpolation: str = "nearest"
    ) -> None:
        super().__init__(up_channels + skip_channels, out_channels, 3, padding=1, bias=bias)
        self.up_channels = up_channels
        self.interpolation = check_interpolation(interpolation)
        self.transposed_device = _TRANSPOSED_DEVICE if interpolation == "nearest" else ""

    def forward(  # type: ignore[override]
        self, x: Tensor, skip: Tensor | None, height: int, width: int, dense: list[Tensor] | None = None
    ) -> Tensor:
        """Upsample ``x`` to (height, width) and convolve it with the skip.

        Args:
            x: (N, up_channels, h, w).
            skip: (N, skip_channels, height, width), or None.
            height, width: size of the result.
            dense: further skips, which precede ``skip`` in the concatenation; their channels count as skip_channels.

        Returns:
            (N, out_channels, height, width)
        """
        if self._is_transposed(x, height, width):
            return self._transposed(x, skip, height, width, dense)
        return self.convolve(self.upsample_concat(x, skip, height, width, dense))

    def upsample_concat(
        self, x: Tensor, skip: Tensor | None, height: int, width: int, dense: list[Tensor] | None = None
    ) -> Tensor:
        """The first half of the plain form: (N, up_channels + skip_channels, height, width)."""
        x = functional.interpolate(x, size=[height, width], mode=self.interpolation)
        maps = [x]
        if dense is not None:
            maps.extend(dense)
        if skip is not None:
            maps.append(skip)
        return x if len(maps) == 1 else torch.cat(maps, dim=1)

    def convolve(self, x: Tensor) -> Tensor:
        """The second half of the plain form: (N, up_channels + skip_channels, H, W) -> (N, out_channels, H, W)."""
        return functional.conv2d(x, self.weight, self.bias, padding=1)

    def _is_transposed(self, x: Tensor, height: int, width: int) -> bool:
        if x.device.type != self.transposed_device:
            return False
        # An exported graph keeps the plain form: it holds for every size, and runtimes differ in what they do fast.
        if is_recording():
            return False
        # Twofold, or one less where the skip's size is odd. One comparison an axis, so that a compiled graph has one
        # guard for both.
        return 0 <= 2 * x.shape[2] - height <= 1 and 0 <= 2 * x.shape[3] - width <= 1

    def _transposed(
        self, x: Tensor, skip: Tensor | None, height: int, width: int, dense: list[Tensor] | None
    ) -> Tensor:
        weight = self.weight[:, : self.up_channels]
        bias = self.bias if skip is None else None
        out = functional.conv_transpose2d(x, transposed_kernel(weight), bias, stride=2, padding=1)
        out = self._crop(out, x, weight, height, width)
        start = self.up_channels
        # One convolution for each: cheaper than a concatenation of them, and none is kept for the backward pass.
        if dense is not None:
            for item in dense:
                end = start + item.shape[1]
                out += functional.conv2d(item, self.weight[:, start:end], padding=1)
                start = end
        if skip is not None:
            out += functional.conv2d(skip, self.weight[:, start:], self.bias, padding=1)
        return out

    def _crop(self, out: Tensor, x: Tensor, weight: Tensor, height: int, width: int) -> Tensor:
        """Cut the result to an odd size.

        The plain form pads the cropped map with zeros, where the transposed form sees one more row and column of the
        upsampled map; what these add to the last row and column is taken back.
        """
        extra_rows = 2 * x.shape[2] - height
        extra_columns = 2 * x.shape[3] - width
        # Under compilation the sizes may be symbols. One graph then serves even and odd ones: the correction is
        # multiplied by 0 or 1, and the map is copied, as a slice would be guarded for whether it is contiguous.
        always = False
        if not torch.jit.is_scripting():
            always = torch.compiler.is_compiling()
        if always:
            out = functional.pad(out, [0, -extra_columns, 0, -extra_rows])
        elif extra_rows == 0 and extra_columns == 0:
            return out
        else:
            out = out[:, :, :height, :width]
        # By index, not by slice, for the same reason.
        if always or extra_columns > 0:
            column = x[:, :, :, -1:].index_select(2, torch.arange(height, device=x.device) // 2)
            out[:, :, :, -1:] -= functional.conv2d(column, weight[:, :, :, 2:], padding=[1, 0]) * extra_columns
        if always or extra_rows > 0:
            row = x[:, :, -1:].index_select(3, torch.arange(width, device=x.device) // 2)
            out[:, :, -1:] -= functional.conv2d(row, weight[:, :, 2:], padding=[0, 1]) * extra_rows
        if always or (extra_rows > 0 and extra_columns > 0):
            corner = functional.linear(x[:, :, -1, -1], weight[:, :, 2, 2])
            out[:, :, -1, -1] -= corner * (extra_rows * extra_columns)
        return out


class UpsampleConcatConv(nn.Sequential):
    """`UpsampleConcatConv2d`, norm, ReLU; keys as those of `ConvNormAct`: ``0`` convolution, ``1`` norm.

    Args:
        up_channels, skip_channels, out_channels, interpolation: as for `UpsampleConcatConv2d`.
        norm: see `build_norm`.

    >>> block = UpsampleConcatConv(16, 8, 4)
    >>> block(torch.zeros(1, 16, 5, 7), torch.zeros(1, 8, 9, 14), 9, 14).shape
    torch.Size([1, 4, 9, 14])
    """

    def __init__(
        self,
        up_channels: int,
        skip_channels: int,
        out_channels: int,
        *,
        norm: Norm = "batchnorm",
        interpolation: str = "nearest",
    ) -> None:
        super().__init__(
            UpsampleConcatConv2d(
                up_channels, skip_channels, out_channels, bias=needs_bias(norm), interpolation=interpolation
            ),
            build_norm(norm, out_channels),
            activation_after(norm),
        )

    def forward(  # type: ignore[override]
        self, x: Tensor, skip: Tensor | None, height: int, width: int, dense: list[Tensor] | None = None
    ) -> Tensor:
        """As `UpsampleConcatConv2d.forward`, then norm and ReLU."""
        out: Tensor = self[2](self[1](self[0](x, skip, height, width, dense)))
        return out

    def upsample_concat(
        self, x: Tensor, skip: Tensor | None, height: int, width: int, dense: list[Tensor] | None = None
    ) -> Tensor:
        """As `UpsampleConcatConv2d.upsample_concat`, for a caller that changes the concatenation before `convolve`."""
        out: Tensor = self[0].upsample_concat(x, skip, height, width, dense)  # type: ignore[operator]
        return out

    def convolve(self, x: Tensor) -> Tensor:
        """Convolution, norm and ReLU of a concatenation: (N, up + skip channels, H, W) -> (N, out_channels, H, W)."""
        out: Tensor = self[2](self[1](self[0].convolve(x)))  # type: ignore[operator]
        return out
