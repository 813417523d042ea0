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

from smp_core.layers.products import multiply
from smp_core.layers.winograd_tiles import Tile

# At a time, about: as few as products are fast with, so that what is transformed stays in a cache, 1 MiB of it for 64
# channels. A map of 96x96 and 64 channels is 1.29 times as fast as the convolution with these, 0.49 with 512.
_TILES_AT_ONCE = 128


def winograd_kernel(weight: Tensor, tile: Tile) -> Tensor:
    """What the transformed pixels are multiplied by: (places squared, in_channels, out_channels), of (out, in, 3, 3).

    Those of a column are neighbours. Computed in float64.
    """
    spread = torch.tensor(tile.spread, dtype=torch.float64, device=weight.device)
    both = torch.einsum("ik,jl->jikl", spread, spread).reshape(tile.places**2, 9)
    weights = weight.double().permute(2, 3, 1, 0).reshape(9, -1)
    return (both @ weights).to(weight.dtype).view(tile.places**2, weight.shape[1], weight.shape[0])


def convolve_winograd(x: Tensor, kernel: Tensor, bias: Tensor | None, dilation: int, tile: Tile) -> Tensor:
    """A 3x3 convolution, padded by its dilation, without a gradient.

    Args:
        x: (N, C, H, W), channels-last.
        kernel: `winograd_kernel`, (P * P, C, O), or that packed for the rows that `tiles_at_once` tells.
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
    outputs = kernel.shape[0] // tile.places**2 if kernel.is_mkldnn else kernel.shape[2]
    out = x.new_empty(number, rows, size, dilation, columns, size, dilation, outputs)
    band = _band(number * columns * dilation**2, rows)
    for nth in range(0, rows, band):
        start = min(nth, rows - band)  # the last one goes over some again: all are of one size
        stop = start + band
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
        kernel: (P * P, C, O), or that packed.
        out: (N, rows, size, dilation, columns, size, dilation, O); written.
        tile: the transforms.
    """
    number, rows, size, dilation, columns = out.shape[:5]
    channels, count, tiles = pixels.shape[-1], tile.places, (number, rows, dilation, columns, dilation)
    down = _with_places(pixels, (count,), (number, rows, *pixels.shape[2:5]), channels, kernel)
    tile.differences(pixels.unfold(1, count, size).unbind(-1), down.unbind())
    places = _with_places(pixels, (count, count), tiles, channels, kernel)
    tile.differences(down.unfold(4, count, size).unbind(-1), places.unbind())
    found = multiply(places.view(count**2, -1, channels), kernel).unflatten(0, (count, count)).unflatten(2, tiles)
    shorter = _with_places(pixels, (size, count), tiles, out.shape[-1], kernel)
    tile.sums(found.unbind(), shorter.unbind())
    tile.sums(shorter.unbind(1), out.permute(2, 5, 0, 1, 3, 4, 6, 7).unbind())


def _with_places(
    like: Tensor, places: tuple[int, ...], tiles: tuple[int, ...], channels: int, kernel: Tensor
) -> Tensor:
    """An empty tensor, (*places, *tiles, channels); in memory as the kernel wants it: its rows, or places, together."""
    if not kernel.is_mkldnn:
        return like.new_empty(*places, *tiles, channels)
    return like.new_empty(*tiles, *places, channels).movedim(
        tuple(range(len(tiles), len(tiles) + len(places))), tuple(range(len(places)))
    )


def tiles_at_once(number: int, height: int, width: int, dilation: int, tile: Tile) -> int:
    """How many are multiplied in one go: the rows of each product."""
    rows, each = _tiles(height, dilation, tile.size), number * _tiles(width, dilation, tile.size) * dilation**2
    return _band(each, rows) * each


def _band(each: int, rows: int) -> int:
    """How many rows of tiles are computed at a time, of so many tiles each."""
    return -(-rows // max(1, round(each * rows / _TILES_AT_ONCE)))


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
