"""3x3 convolutions of many channels with fewer multiplications (Winograd; Lavin and Gray, arXiv:1509.09308).

Tiles of the input are transformed by sums and differences along the rows and the columns, and in between stands one
product for each place of a tile: for 2 x 2 pixels of the result 16 multiplications an input channel where the
convolution has 36, for 4 x 4 36 for 144. The transforms cost as much as the maps are large, which is little where there
are many channels, and all that there is to win where there are few; the larger tiles have kernels of four times the
weights, which are not worth reading for a few tiles of very many channels.

A dilated convolution is one for each of its interleaved pixels: these are a further axis here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_core.layers.winograd_tiles import Tile

# At a time, about: as few as products are fast with, so that what is transformed stays in a cache, 1 MiB of it for 64
# channels. A map of 96x96 and 64 channels is 1.29 times as fast as the convolution with these, 0.49 with 512.
_TILES_AT_ONCE = 128


def winograd_kernel(weight: Tensor, tile: Tile) -> Tensor:
    """What the transformed pixels are multiplied by: (places squared, in_channels, out_channels), of (out, in, 3, 3).

    Computed in float64.
    """
    spread = torch.tensor(tile.spread, dtype=torch.float64, device=weight.device)
    places = torch.einsum("ik,ockl,jl->ijco", spread, weight.double(), spread)
    return places.reshape(tile.places**2, weight.shape[1], weight.shape[0]).to(weight.dtype).contiguous()


def convolve_winograd(x: Tensor, kernel: Tensor, bias: Tensor | None, dilation: int, tile: Tile) -> Tensor:
    """A 3x3 convolution, padded by its dilation, without a gradient.

    Args:
        x: (N, C, H, W), channels-last.
        kernel: `winograd_kernel`, (P * P, C, O).
        bias: (O,), or None.
        dilation: in both directions.
        tile: that the kernel was made for.

    Returns:
        (N, O, H, W), channels-last.

    >>> from smp_core.layers.winograd_tiles import TILES
    >>> x, tile = torch.ones(1, 8, 5, 4).contiguous(memory_format=torch.channels_last), TILES["winograd_2x2"]
    >>> convolve_winograd(x, winograd_kernel(torch.ones(2, 8, 3, 3), tile), None, 1, tile)[0, 0, :2, :2]
    tensor([[32., 48.],
            [48., 72.]])
    """
    number, channels, height, width = x.shape
    size = tile.size
    rows, columns = _tiles(height, dilation, size), _tiles(width, dilation, size)
    pixels, missing = x.permute(0, 2, 3, 1), dilation * (1 + size * columns) - width
    out = x.new_empty(number, rows, size, dilation, columns, size, dilation, kernel.shape[2])
    bands = max(1, round(number * rows * columns * dilation**2 / _TILES_AT_ONCE))
    band = -(-rows // bands)
    for start in range(0, rows, band):
        stop = min(start + band, rows)
        first, last = dilation * (size * start - 1), dilation * (size * stop + 1)
        read = pixels[:, max(0, first) : last]
        above = max(0, -first)
        below = last - first - above - read.shape[1]
        read = nn.functional.pad(read, [0, 0, dilation, missing, above, below])
        read = read.view(number, -1, dilation, size * columns + 2, dilation, channels)
        _convolve_band(read, kernel, out[:, start:stop], tile)
        if bias is not None:
            out[:, start:stop].add_(bias)
    out = out.view(number, size * dilation * rows, size * dilation * columns, -1)[:, :height, :width]
    return out.contiguous().permute(0, 3, 1, 2)


def _convolve_band(pixels: Tensor, kernel: Tensor, out: Tensor, tile: Tile) -> None:
    """Some rows of tiles.

    Args:
        pixels: (N, size * rows + 2, dilation, size * columns + 2, dilation, C).
        kernel: (P * P, C, O).
        out: (N, rows, size, dilation, columns, size, dilation, O); written.
        tile: the transforms.
    """
    number, rows, size, dilation, columns = out.shape[:5]
    channels, count = pixels.shape[-1], tile.places
    down = pixels.new_empty(count, number, rows, dilation, size * columns + 2, dilation, channels)
    tile.differences([pixels[:, place : place + size * rows - 1 : size] for place in range(count)], list(down))
    places = pixels.new_empty(count, count, number, rows, dilation, columns, dilation, channels)
    taken = [down[:, :, :, :, place : place + size * columns - 1 : size] for place in range(count)]
    tile.differences(taken, [places[:, place] for place in range(count)])
    found = torch.bmm(places.view(count**2, -1, channels), kernel)
    found = found.view(count, count, number, rows, dilation, columns, dilation, -1)
    shorter = found.new_empty(size, *found.shape[1:])
    tile.sums(list(found), list(shorter))
    results = [out[:, :, :, :, :, place].permute(2, 0, 1, 3, 4, 5, 6) for place in range(size)]
    tile.sums([shorter[:, place] for place in range(count)], results)


def _tiles(length: int, dilation: int, size: int) -> int:
    """Tiles along an axis, of each of the interleaved maps."""
    return -(-length // (size * dilation))


def winograd_gain(height: int, width: int, dilation: int, tile: Tile) -> float:
    """How many times fewer multiplications there are than the convolution has, which skips what it is padded with."""
    plain, tiled = 1, 1
    for length in (height, width):
        plain *= length + 2 * max(0, length - dilation)
        tiled *= tile.places * dilation * _tiles(length, dilation, tile.size)
    return plain / tiled if tiled else 0.0
