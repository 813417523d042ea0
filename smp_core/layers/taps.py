"""3x3 convolutions as sums of nine shifted maps, one for each of their weights' places (taps).

Where there are few output channels, as of a segmentation head, one product gives all nine maps, and shifting them costs
little; torch's convolutions fill their vectors with sixteen outputs, whether they are wanted or not. Where each channel
is convolved by itself with a large dilation, only that part of a map is read which adds to the result.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# Pixels of the result at a time, so that their nine maps stay in a cache: 64 rows of a map of 384 columns.
_MOST_PIXELS = 64 * 384


def taps_kernel(weight: Tensor) -> Tensor:
    """(O, C, 3, 3) -> (9 * O, C), tap by tap."""
    return weight.permute(2, 3, 0, 1).reshape(-1, weight.shape[1]).contiguous()


def shifted_kernel(weight: Tensor) -> Tensor:
    """Of a depth-wise convolution, (C, 1, 3, 3) -> (3, 3, C)."""
    return weight[:, 0].permute(1, 2, 0).contiguous()


def convolve_taps(x: Tensor, kernel: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """A 3x3 convolution, padded by its dilation, without a gradient.

    Args:
        x: (N, C, H, W), channels-last.
        kernel: `taps_kernel`, (9 * O, C).
        bias: (O,), or None.
        dilation: in both directions.

    Returns:
        (N, O, H, W), with its rows innermost.

    >>> x = torch.ones(1, 8, 5, 4).contiguous(memory_format=torch.channels_last)
    >>> convolve_taps(x, taps_kernel(torch.ones(1, 8, 3, 3)), None, dilation=1)[0, 0, :2]
    tensor([[32., 48., 48., 32.],
            [48., 72., 72., 48.]])
    """
    number, channels, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1)
    out = x.new_zeros(number, kernel.shape[0] // 9, height, width)
    if bias is not None:
        out += bias[:, None, None]
    rows = max(1, _MOST_PIXELS // (number * width))
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        first, last = max(0, start - dilation), min(height, stop + dilation)
        read = pixels[:, first:last].reshape(number, -1, channels)
        maps = torch.matmul(kernel, read.transpose(1, 2)).view(number, 3, 3, -1, last - first, width)
        for row, down, into_rows in _overlaps(height, dilation):
            # Of the rows that this tap adds to those of this band.
            lower, upper = max(start, into_rows.start), min(stop, into_rows.stop)
            if lower >= upper:
                continue
            taken = slice(lower + down - first, upper + down - first)
            for column, right, into in _overlaps(width, dilation):
                found = maps[:, row, column, :, taken, into.start + right : into.stop + right]
                out[:, :, lower:upper, into].add_(found)
    return out


def convolve_shifted(x: Tensor, kernel: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """A depth-wise 3x3 convolution, padded by its dilation, without a gradient.

    Args:
        x: (N, C, H, W), channels-last.
        kernel: `shifted_kernel`, (3, 3, C).
        bias: (C,), or None.
        dilation: in both directions.

    Returns:
        (N, C, H, W), channels-last.

    >>> x = torch.ones(1, 2, 9, 10).contiguous(memory_format=torch.channels_last)
    >>> convolve_shifted(x, shifted_kernel(torch.ones(2, 1, 3, 3)), None, dilation=8)[0, 0, 0]
    tensor([4., 4., 2., 2., 2., 2., 2., 2., 4., 4.])
    """
    pixels = x.permute(0, 2, 3, 1)
    out = pixels * kernel[1, 1]
    if bias is not None:
        out += bias
    for row, down, rows in _overlaps(x.shape[2], dilation):
        for column, right, columns in _overlaps(x.shape[3], dilation):
            if (row, column) != (1, 1):
                read = pixels[:, rows.start + down : rows.stop + down, columns.start + right : columns.stop + right]
                out[:, rows, columns].addcmul_(read, kernel[row, column])
    return out.permute(0, 3, 1, 2)


def _overlaps(length: int, dilation: int) -> Iterator[tuple[int, int, slice]]:
    """Of each place of the weights along an axis: its number, how far it looks, and what of the result it adds to."""
    for place, offset in enumerate((-dilation, 0, dilation)):
        start, stop = max(0, -offset), length - max(0, offset)
        if start < stop:
            yield place, offset, slice(start, stop)
