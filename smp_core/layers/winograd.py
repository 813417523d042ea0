"""3x3 convolutions of many channels with 2.25 times fewer multiplications (Winograd; Lavin and Gray, arXiv:1509.09308).

A tile of 2 x 2 pixels of the result depends on 4 x 4 of the input. Both are transformed by sums and differences along
the rows and the columns, and in between stands one product for each of the 16 places: 16 multiplications an input
channel where the convolution has 36. The transforms only add, so that rounding stays what it is; they cost as much as
the maps are large, which is little where there are many channels, and all that there is to win where there are few.

A dilated convolution is one for each of its interleaved pixels: these are a further axis here.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from smp_core.layers.forms import form_for
from smp_core.layers.recording import is_eager
from smp_core.layers.stock import is_stock

LAYER = "known_conv3x3"

_ASSUMED = {"kernel_size": (3, 3), "stride": (1, 1), "groups": 1, "padding_mode": "zeros", "transposed": False}
# Of the pixels that are computed, those that are cut off again may be a third of the result's.
_WASTE = 4 / 3
# Of the transformed pixels at a time, so that they stay in a cache: 8 MiB of float32. A map of 96x96 and 256 channels
# is 1.27 times as fast as the convolution so, and 0.85 times as a whole.
_MOST_PLACES = 2**21


def winograd_kernel(weight: Tensor) -> Tensor:
    """What the transformed pixels are multiplied by: (16, in_channels, out_channels), of (out, in, 3, 3).

    Computed in float64.
    """
    spread = torch.tensor(
        [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]], dtype=torch.float64, device=weight.device
    )
    places = torch.einsum("ik,ockl,jl->ijco", spread, weight.double(), spread)
    return places.reshape(16, weight.shape[1], weight.shape[0]).to(weight.dtype).contiguous()


def convolve_winograd(x: Tensor, kernel: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """A 3x3 convolution, padded by its dilation, without a gradient.

    Args:
        x: (N, C, H, W), channels-last.
        kernel: `winograd_kernel`, (16, C, O).
        bias: (O,), or None.
        dilation: in both directions.

    Returns:
        (N, O, H, W), channels-last.

    >>> x = torch.ones(1, 8, 5, 4).contiguous(memory_format=torch.channels_last)
    >>> convolve_winograd(x, winograd_kernel(torch.ones(2, 8, 3, 3)), None, dilation=1)[0, 0, :2, :2]
    tensor([[32., 48.],
            [48., 72.]])
    """
    number, channels, height, width = x.shape
    rows, columns = _tiles(height, dilation), _tiles(width, dilation)
    missing = [dilation + 2 * dilation * rows - height, dilation + 2 * dilation * columns - width]
    pixels = nn.functional.pad(x.permute(0, 2, 3, 1), [0, 0, dilation, missing[1], dilation, missing[0]])
    pixels = pixels.view(number, 2 * rows + 2, dilation, 2 * columns + 2, dilation, channels)
    out = x.new_empty(number, rows, 2, dilation, columns, 2, dilation, kernel.shape[2])
    band = max(1, _MOST_PLACES // (16 * number * columns * dilation**2 * max(channels, kernel.shape[2])))
    for start in range(0, rows, band):
        stop = min(start + band, rows)
        _convolve_band(pixels[:, 2 * start : 2 * stop + 2], kernel, out[:, start:stop])
    out = out.view(number, 2 * dilation * rows, 2 * dilation * columns, -1)[:, :height, :width].contiguous()
    return (out if bias is None else out.add_(bias)).permute(0, 3, 1, 2)


def _convolve_band(pixels: Tensor, kernel: Tensor, out: Tensor) -> None:
    """Some rows of tiles.

    Args:
        pixels: (N, 2 * rows + 2, dilation, 2 * columns + 2, dilation, C).
        kernel: (16, C, O).
        out: (N, rows, 2, dilation, columns, 2, dilation, O); written.
    """
    number, rows, _, dilation, columns = out.shape[:5]
    channels = pixels.shape[-1]
    down = pixels.new_empty(4, number, rows, dilation, 2 * columns + 2, dilation, channels)
    _differences([pixels[:, place : place + 2 * rows - 1 : 2] for place in range(4)], list(down))
    places = pixels.new_empty(4, 4, number, rows, dilation, columns, dilation, channels)
    taken = [down[:, :, :, :, place : place + 2 * columns - 1 : 2] for place in range(4)]
    _differences(taken, [places[:, place] for place in range(4)])
    found = torch.bmm(places.view(16, -1, channels), kernel).view(4, 4, number, rows, dilation, columns, dilation, -1)
    half = found.new_empty(2, *found.shape[1:])
    _sums(list(found), list(half))
    halves = [half[:, place] for place in range(4)]
    _sums(halves, [out[:, :, :, :, :, place].permute(2, 0, 1, 3, 4, 5, 6) for place in (0, 1)])


def _differences(given: list[Tensor], out: list[Tensor]) -> None:
    """Along one axis four pixels of a tile become four places."""
    torch.sub(given[0], given[2], out=out[0])
    torch.add(given[1], given[2], out=out[1])
    torch.sub(given[2], given[1], out=out[2])
    torch.sub(given[1], given[3], out=out[3])


def _sums(given: list[Tensor], out: list[Tensor]) -> None:
    """And four places the two pixels of the result."""
    torch.add(given[0], given[1], out=out[0]).add_(given[2])
    torch.sub(given[1], given[2], out=out[1]).sub_(given[3])


def _tiles(length: int, dilation: int) -> int:
    """Tiles along an axis, of each of the interleaved maps."""
    return -(-length // (2 * dilation))


class WinogradConv2d(nn.Conv2d):
    """A convolution of an inference form that has its `winograd_kernel` at hand, and uses it where the table says so.

    Made by `with_kernels`. It computes what the convolution does that it was made of, from the same parameters; where
    these change, or a gradient is wanted, or a graph recorded, as that does.
    """

    # See `smp_core.layers.stock.is_stock`.
    computes_as: ClassVar[type[nn.Module]] = nn.Conv2d
    # TorchScript cannot keep what is no tensor, and has no use for the kernel.
    __jit_ignored_attributes__: ClassVar[list[str]] = ["_kernel", "_kernel_of"]

    _kernel: Tensor | None
    _kernel_of: tuple[Tensor, int] | None

    def forward(self, input: Tensor) -> Tensor:
        """See `torch.nn.Conv2d`."""
        if not torch.jit.is_scripting():
            found = self._by_kernel(input)
            if found is not None:
                return found
        out: Tensor = self._conv_forward(input, self.weight, self.bias)
        return out

    @torch.jit.unused
    def _by_kernel(self, x: Tensor) -> Tensor | None:
        if not is_eager(x) or torch.is_grad_enabled():
            return None
        kernel, dilation = self._known_kernel(), int(self.dilation[0])
        if (
            kernel is None
            or type(x) is not Tensor
            or x.dim() != 4
            or (kernel.dtype, kernel.device) != (x.dtype, x.device)
        ):
            return None
        if torch.is_autocast_enabled(x.device.type):
            return None
        if x.shape[1] != self.in_channels or not is_stock(self, nn.Conv2d, _ASSUMED) or not _pads_by(self, dilation):
            return None
        height, width = x.shape[2], x.shape[3]
        computed = 4 * dilation**2 * _tiles(height, dilation) * _tiles(width, dilation)
        if not 0 < computed <= _WASTE * height * width:
            return None
        if form_for(LAYER, x, x.shape[0] * height * width, min(self.in_channels, self.out_channels)) != "winograd":
            return None
        return convolve_winograd(x, kernel, self.bias, dilation)

    def _known_kernel(self) -> Tensor | None:
        """The kernel, where it is that of the weight as it is now."""
        weight, version = self._kernel_of or (None, 0)
        return self._kernel if weight is self._parameters["weight"] and self.weight._version == version else None

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        if self._known_kernel() is None:
            state.update(_kernel=None, _kernel_of=None)  # a copy cannot tell that the weight was written into
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if self._kernel_of is not None:  # a copy of a tensor counts its versions anew
            self._kernel_of = self._kernel_of[0], self._kernel_of[0]._version


def with_kernels(model: nn.Module) -> nn.Module:
    """Put a `WinogradConv2d` in the place of each convolution of a model that the table of forms has one for.

    Args:
        model: an inference form, in its final dtype, layout, and place; its parts are exchanged.
    """
    made: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, part in parent._modules.items():
            if isinstance(part, nn.Conv2d) and part not in made and _is_worthwhile(part):
                made[part] = _with_kernel(part)
            if part in made:
                parent._modules[name] = made[part]
    return model


def _is_worthwhile(conv: nn.Conv2d) -> bool:
    if not is_stock(conv, nn.Conv2d, _ASSUMED) or not _pads_by(conv, int(conv.dilation[0])):
        return False
    if conv.weight.is_meta or not conv.weight.is_contiguous(memory_format=torch.channels_last):
        return False
    # Asked as of a map that is large enough.
    like = conv.weight.new_empty(1, 2, 2, conv.in_channels).permute(0, 3, 1, 2)
    with torch.no_grad():
        return form_for(LAYER, like, sys.maxsize, min(conv.in_channels, conv.out_channels)) == "winograd"


def _pads_by(conv: nn.Conv2d, dilation: int) -> bool:
    return tuple(conv.dilation) == (dilation, dilation) and conv.padding == (dilation, dilation)


def _with_kernel(conv: nn.Conv2d) -> WinogradConv2d:
    made = WinogradConv2d.__new__(WinogradConv2d)
    made.__dict__.update(conv.__dict__)
    made._kernel = winograd_kernel(conv.weight.detach())
    made._kernel_of = conv.weight, conv.weight._version
    return made
