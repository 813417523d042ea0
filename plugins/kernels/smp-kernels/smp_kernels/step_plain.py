"""The decoder step and its gradient by operations of torch: what the kernel is compared with, and falls back to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_Gradients = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]


def upsampled(x: Tensor, height: int, width: int) -> Tensor:
    """(N, C, h, w) -> (N, C, height, width), by nearest neighbour."""
    return functional.interpolate(x, size=[height, width], mode="nearest")


def plain_step(
    x: Tensor | None, skip: Tensor | None, weight: Tensor, bias: Tensor | None, height: int, width: int, relu: bool
) -> Tensor:
    """As `smp_kernels.step.decoder_step`, the upsampled map and the concatenation stored."""
    maps = [] if x is None else [upsampled(x, height, width)]
    maps += [] if skip is None else [skip]
    out = functional.conv2d(maps[0] if len(maps) == 1 else torch.cat(maps, 1), weight, bias, padding=1)
    return out.relu() if relu else out


def step_gradients(
    gradient: Tensor,
    x: Tensor | None,
    skip: Tensor | None,
    weight: Tensor,
    wanted: Sequence[bool],
    transposed: Tensor | None,
) -> _Gradients:
    """The gradients of a step without ReLU.

    Neither the concatenation nor, where the sizes are even, the upsampled map is made again: upsampling and convolving
    is one transposed convolution, whose gradient has the size of the small map.

    Args:
        gradient: of the result, (N, out_channels, height, width).
        x, skip, weight: as the step was given them.
        wanted: of which of x, skip, weight and bias.
        transposed: `smp_core.layers.upsample.transposed_kernel` of the part of the weight for ``x``; None where x is
            None or a size is odd.

    Returns:
        Of x, skip, weight and bias; None where not wanted.
    """
    for_x, for_skip, for_weight, for_bias = wanted
    up = 0 if x is None else x.shape[1]
    of_x, of_skip = None, None
    parts: list[Tensor] = []
    if x is not None and (for_x or for_weight):
        of_x, part = _of_small_map(gradient, x, weight[:, :up], transposed, for_x, for_weight)
        parts += [] if part is None else [part]
    if skip is not None and (for_skip or for_weight):
        of_skip, part = _of_convolution(gradient, skip, weight[:, up:], for_skip, for_weight)
        parts += [] if part is None else [part]
    of_weight = torch.cat(parts, 1) if for_weight else None
    return of_x, of_skip, of_weight, gradient.sum((0, 2, 3)) if for_bias else None


def _of_small_map(
    gradient: Tensor, x: Tensor, weight: Tensor, transposed: Tensor | None, for_x: bool, for_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    height, width = gradient.shape[2], gradient.shape[3]
    if transposed is None:
        of_up, of_weight = _of_convolution(gradient, upsampled(x, height, width), weight, for_x, for_weight)
        if of_up is None:
            return None, of_weight
        shape = list(x.shape)
        of_x = torch.ops.aten.upsample_nearest2d_backward(of_up, [height, width], shape, None, None)
        return of_x, of_weight
    of_x, of_kernel, _ = torch.ops.aten.convolution_backward(
        gradient, x, transposed, None, [2, 2], [1, 1], [1, 1], True, [0, 0], 1, [for_x, for_weight, False]
    )
    if not for_weight:
        return of_x, None
    # The places of the 4x4 kernel that hold a weight of the 3x3 kernel: two rows by two columns of it.
    rows = [of_kernel[:, :, 2 - row : 4 - row].sum(2) for row in range(3)]
    places = [row[:, :, 2 - column : 4 - column].sum(2) for row in rows for column in range(3)]
    of_weight = torch.stack(places, 2).view(of_kernel.shape[0], of_kernel.shape[1], 3, 3).transpose(0, 1)
    return of_x, of_weight


def _of_convolution(
    gradient: Tensor, x: Tensor, weight: Tensor, for_x: bool, for_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [for_x, for_weight, False]
    )
    return of_x, of_weight
