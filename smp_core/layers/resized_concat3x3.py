"""Resize maps to one size, concatenate, convolve by 3x3: the fusion step of UPerNet.

A 3x3 convolution does not commute with interpolation, but it is the sum of nine 1x1 convolutions, each followed by a
shift of the result by a pixel, and a 1x1 convolution does commute. So a small map is projected nine times where it is
small, a quarter or less of the multiplications. What remains, enlarging and shifting, is linear in the rows and in the
columns of each channel: one small matrix for each, into which the shifts and the zeros beyond the border are built.

The parameters are those of the plain 3x3 convolution over the concatenation, which its owner keeps and may call.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from smp_core.layers.enlarging import enlarged, enlarges_by_matrix, is_finite

# A map this much smaller, in height and in width, is projected at its own size.
_WORTHWHILE = 2
# But none with longer rows or columns: the matrices grow with the square of these.
_LONGEST = 256


def resize_concat(maps: list[Tensor], height: int, width: int) -> Tensor:
    """Maps (N, C_i, h_i, w_i), resized bilinearly, corners not aligned, concatenated: (N, sum of C_i, height, width).

    The first must have that size.
    """
    resized = [maps[0]]
    resized.extend([_resize(x, height, width) for x in maps[1:]])
    return torch.cat(resized, dim=1)


def convolve_resized(maps: list[Tensor], weight: Tensor, bias: Tensor | None, height: int, width: int) -> Tensor:
    """A 3x3 convolution, padded by 1, of what `resize_concat` makes, which is never made.

    Args:
        maps, height, width: as for `resize_concat`.
        weight: (out_channels, sum of C_i, 3, 3).
        bias: (out_channels,), or None.

    Returns:
        (N, out_channels, height, width)

    >>> maps = [torch.ones(1, 8, 12, 10), torch.ones(1, 16, 3, 5)]
    >>> convolve_resized(maps, torch.ones(4, 24, 3, 3), None, 12, 10)[0, 0, :2, :2]
    tensor([[ 96., 144.],
            [144., 216.]])
    """
    weights = torch.split(weight, [x.shape[1] for x in maps], dim=1)
    # As the first map has it: whatever stays of the sum is laid out so, and no map is laid out anew for each product.
    is_last = maps[0].is_contiguous(memory_format=torch.channels_last) and not maps[0].is_contiguous()
    layout = torch.channels_last if is_last else torch.contiguous_format
    out: Tensor | None = None
    for index, x in enumerate(maps):
        x, part = x.contiguous(memory_format=layout), weights[index].contiguous(memory_format=layout)
        if out is not None and _is_worthwhile(x, height, width):
            if is_last:
                _add_enlarged_pixels(out, x, part)
            else:
                _add_enlarged(out, x, part)
            continue
        if index > 0:
            x = _resize(x, height, width)
        convolved = functional.conv2d(x, part, bias if out is None else None, padding=1)
        if out is None:
            out = convolved.contiguous(memory_format=layout)
        else:
            out.add_(convolved)
    assert out is not None
    return out


def _is_worthwhile(x: Tensor, height: int, width: int) -> bool:
    """Whether the matrices are faster for a map, and give the same."""
    if _WORTHWHILE * x.shape[2] > height or _WORTHWHILE * x.shape[3] > width or max(x.shape[2:]) > _LONGEST:
        return False
    return is_finite(x)


def _add_enlarged(out: Tensor, x: Tensor, weight: Tensor) -> None:
    """Add ``conv2d(interpolate(x, size of out), weight, padding=1)`` to ``out`` in place.

    Args:
        out: (N, O, H, W), contiguous; changed.
        x: (N, C, h, w).
        weight: (O, C, 3, 3).
    """
    num_images, out_channels, height, width = out.shape
    enlarged: Tensor | None = None
    columns = _shifted(x.shape[3], width, x)
    for place, matrix in enumerate(columns):
        # The three taps of one column of the kernel, at the size of x: (N, O * 3, h, w), then (N * O * 3 * h, W).
        taps = weight[:, :, :, place].transpose(1, 2).reshape(3 * out_channels, -1, 1, 1)
        projected = functional.conv2d(x, taps)
        rows = projected.reshape(-1, x.shape[3])
        matrix = matrix.to(rows.dtype)  # under autocast the projection has another type than its input
        enlarged = rows @ matrix if enlarged is None else enlarged.addmm_(rows, matrix)
    assert enlarged is not None
    enlarged = enlarged.view(num_images * out_channels, 3 * x.shape[2], width)
    rows = torch.cat(_shifted(x.shape[2], height, x)).t().to(enlarged.dtype)
    out.view(-1, height, width).baddbmm_(rows.expand(enlarged.shape[0], -1, -1), enlarged)


def _add_enlarged_pixels(out: Tensor, x: Tensor, weight: Tensor) -> None:
    """As `_add_enlarged`, of maps whose channels are innermost: the same products, with the channels as columns.

    Args:
        out: (N, O, H, W), channels-last; changed.
        x: (N, C, h, w), channels-last.
        weight: (O, C, 3, 3).
    """
    num_images, out_channels, height, width = out.shape
    rows, columns = x.shape[2], x.shape[3]
    # For each row of the kernel its three taps at every pixel: (3, N * h * w, 3 * O), which is (3 * N * h, w * 3, O).
    pixels = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    taps = weight.permute(2, 1, 3, 0).reshape(3, x.shape[1], 3 * out_channels)
    projected = torch.bmm(pixels.expand(3, -1, -1), taps).view(-1, 3 * columns, out_channels)
    across = torch.stack(_shifted(columns, width, x), dim=1).view(3 * columns, width).t().to(projected.dtype)
    enlarged = torch.bmm(across.expand(projected.shape[0], -1, -1), projected)
    enlarged = (
        enlarged.view(3, num_images, rows, width * out_channels).transpose(0, 1).reshape(num_images, 3 * rows, -1)
    )
    down = torch.cat(_shifted(rows, height, x)).t().to(enlarged.dtype)
    pixels_out = out.permute(0, 2, 3, 1).view(num_images, height, width * out_channels)
    pixels_out.baddbmm_(down.expand(num_images, -1, -1), enlarged)


def _shifted(length: int, resized: int, like: Tensor) -> list[Tensor]:
    """For each of the three places of a kernel's axis the matrix that enlarges and shifts: (length, resized)."""
    matrix = functional.pad(_interpolation_matrix(length, resized, like), (1, 1))
    return [matrix[:, place : place + resized].contiguous() for place in range(3)]


def _interpolation_matrix(length: int, resized: int, like: Tensor) -> Tensor:
    """What linear interpolation multiplies a row by: (length, resized), with dtype and device of ``like``."""
    unit = torch.eye(length, dtype=torch.float64, device=like.device).unsqueeze(0)
    return functional.interpolate(unit, size=[resized], mode="linear", align_corners=False).squeeze(0).to(like.dtype)


def _resize(x: Tensor, height: int, width: int) -> Tensor:
    if enlarges_by_matrix(x, height, width):
        return enlarged(x, height, width, align_corners=False)
    return functional.interpolate(x, size=[height, width], mode="bilinear", align_corners=False)
