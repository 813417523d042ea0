"""The forms of a convolution whose weights will not change, each as what it needs and when it may run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from smp_core.layers.products import HeldKernel
from smp_core.layers.taps import convolve_shifted, convolve_taps, shifted_kernel, taps_kernel
from smp_core.layers.winograd import convolve_winograd, tiles_at_once, winograd_gain, winograd_kernel
from smp_core.layers.winograd_tiles import TILES, Tile

# Of Winograd's: tiles that far apart hardly ever fill a map, and the convolution has little to do at its borders.
_MOST_DILATION = 16
# Of the shifted form: torch's depth-wise convolution takes half its time at dilations to 7, from 8 on 2 to 20 times.
_LEAST_DILATION = 8
# Of the taps: the products have nine results for each output channel.
_INPUTS_OF_AN_OUTPUT = 4


@dataclass(frozen=True)
class KnownForm:
    """One way to compute a convolution of stride 1 that keeps the size of its map, without a gradient.

    Attributes:
        kernel: what is computed once, of the weight, (O, C / groups, 3, 3), or (O, C, 1, 1).
        convolve: of a map, (N, C, H, W), channels-last, that kernel, the bias (O,) or None, and the dilation the
            result, (N, O, H, W).
        suits: whether the form is made for a convolution.
        pays: whether it is for a map of a height and a width, at a dilation.
        layout: of its result.
        compiled: whether it is worth an operator of its own there, which nothing is fused with.
        rows: of a map's shape, (N, C, H, W), and the dilation that of how many rows its products are, if its kernel may
            be packed for them.
    """

    kernel: Callable[[Tensor], Tensor]
    convolve: Callable[[Tensor, Tensor, Tensor | None, int], Tensor]
    suits: Callable[[nn.Conv2d], bool]
    pays: Callable[[int, int, int], bool] = lambda *_: True
    layout: torch.memory_format = torch.channels_last
    compiled: bool = True
    rows: Callable[[torch.Size, int], int] | None = None

    def hold(self, weight: Tensor) -> HeldKernel | Tensor:
        """The kernel of a weight, to be kept."""
        kernel = self.kernel(weight)
        return kernel if self.rows is None else HeldKernel(kernel)

    def rows_of(self, x: Tensor, dilation: int) -> int:
        """See ``rows``; 0 where there are none."""
        return 0 if self.rows is None else self.rows(x.shape, dilation)


def _winograd(tile: Tile) -> KnownForm:
    return KnownForm(
        kernel=partial(winograd_kernel, tile=tile),
        convolve=partial(convolve_winograd, tile=tile),
        suits=lambda conv: conv.kernel_size == (3, 3) and conv.groups == 1 and conv.dilation[0] <= _MOST_DILATION,
        pays=lambda height, width, dilation: winograd_gain(height, width, dilation, tile) >= tile.least_gain,
        rows=lambda shape, dilation: tiles_at_once(shape[0], shape[2], shape[3], dilation, tile),
    )


def _same(weight: Tensor) -> Tensor:
    return weight


def _convolve_onednn(x: Tensor, kernel: Tensor, bias: Tensor | None, _: int) -> Tensor:
    """A 1x1 convolution by oneDNN, which torch leaves out where it has a single thread, for a product.

    Not so for what is dilated, which says nothing of a single weight.
    """
    return nn.functional.conv2d(x, kernel, bias, dilation=2)


KNOWN_FORMS: dict[str, KnownForm] = {
    **{name: _winograd(tile) for name, tile in TILES.items()},
    "taps": KnownForm(
        kernel=taps_kernel,
        convolve=convolve_taps,
        suits=lambda conv: conv.groups == 1 and _INPUTS_OF_AN_OUTPUT * conv.out_channels <= conv.in_channels,
        layout=torch.contiguous_format,
    ),
    "shifted": KnownForm(
        kernel=shifted_kernel,
        convolve=convolve_shifted,
        suits=lambda conv: 1 < conv.groups == conv.out_channels and conv.dilation[0] >= _LEAST_DILATION,
    ),
    "onednn": KnownForm(kernel=_same, convolve=_convolve_onednn, suits=lambda conv: conv.groups == 1, compiled=False),
}
"""By the name that the table of forms has for them."""
