"""Where the tiles of an image lie, and what each of them counts at each of its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smp_predict.errors import OptionError

Blend = Literal["gaussian", "cosine", "constant", "none"]
BLENDS: tuple[Blend, ...] = ("gaussian", "cosine", "constant", "none")

# Tiles begin at multiples of this where they can: encoders halve five times, so a tile and the whole image are then
# sampled at the same pixels.
_ALIGNMENT = 32

# The standard deviation of the Gaussian, in tile sides, as in nnU-Net (https://arxiv.org/abs/1809.10486).
_SIGMA = 1 / 8

# No pixel counts less than this, so that those that a single tile covers keep their value.
_LEAST = 1e-3


@dataclass(frozen=True)
class Axis:
    """The tiles along one side of an image.

    Attributes:
        length: of the image.
        tile: of a tile; the last one may reach beyond the image.
        stride: from tile to tile.
        context: what the model sees before a tile and after it, and gives no scores of.
    """

    length: int
    tile: int
    stride: int
    context: int = 0

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return 1 + max(0, math.ceil((self.length - self.tile) / self.stride))

    @property
    def overlap(self) -> int:
        """What a tile has in common with the next."""
        return self.tile - self.stride

    @property
    def seen(self) -> int:
        """How many pixels the model sees: a tile with its context, no more than the image has."""
        return min(self.tile + 2 * self.context, max(self.tile, _aligned(self.length)))

    def start(self, index: int) -> int:
        """The first pixel of a tile."""
        return index * self.stride

    def window(self, index: int) -> int:
        """The first pixel that the model sees with a tile.

        Near the edges it sees more of the one side instead of a mirror image on the other.
        """
        start = self.start(index)
        last = max(0, _aligned(self.length - self.seen))
        begin = max(0, min(start - self.context, last))
        return max(begin, start + self.tile - self.seen)


@dataclass(frozen=True)
class Swath:
    """Columns that are predicted from top to bottom before the next ones are.

    Attributes:
        first, last: its first tile column, and the one after its last.
        begin, end: the pixels that are finished by it, in pixels of the image; the last
            ends where the image does.
    """

    first: int
    last: int
    begin: int
    end: int


def axis(length: int, tile: int, overlap: float, context: int = 0) -> Axis:
    """The tiles along a side.

    A side that is shorter than a tile gets one tile of its own length, rounded up to a multiple of 32, without context.

    Args:
        length: pixels of the image.
        tile: pixels of a tile.
        overlap: the part of a tile that the next one covers too, in [0, 1), at least.
        context: pixels around a tile that the model sees too.
    """
    if length <= tile:
        side = min(tile, _aligned(length))
        return Axis(length, side, side)
    most = max(1, round(tile * (1 - overlap)))
    if most >= _ALIGNMENT:
        most -= most % _ALIGNMENT
    # As few tiles as that takes, as far apart as the image needs: the last one sees little of the mirror image.
    steps = math.ceil((length - tile) / most)
    stride = math.ceil((length - tile) / steps)
    return Axis(length, tile, min(most, _aligned(stride)), context)


def _aligned(length: int) -> int:
    return math.ceil(length / _ALIGNMENT) * _ALIGNMENT


def swaths(columns: Axis, width: int) -> Iterator[Swath]:
    """Cut the tile columns into swaths that finish about ``width`` pixels each, at least one stride.

    The tiles over a seam of two swaths are predicted for both, so that neither keeps anything of the other.
    """
    per_swath = max(1, width // columns.stride)
    # How many tiles before its own reach into a swath.
    reaching = math.ceil(columns.tile / columns.stride) - 1
    for first in range(0, columns.count, per_swath):
        last = min(columns.count, first + per_swath)
        end = columns.length if last == columns.count else columns.start(last)
        yield Swath(max(0, first - reaching), last, columns.start(first), end)


def weights(blend: Blend, tile: int, overlap: int) -> NDArray[np.float32]:
    """What the pixels along one side of a tile count; the product of both sides is the weight of a pixel.

    Args:
        blend: ``"gaussian"``: of standard deviation tile/8; ``"cosine"``: a raised cosine over the overlap, 1 between;
            ``"constant"``: 1; ``"none"``: each pixel is taken from the tile whose middle is the nearest.
        tile: pixels of the side.
        overlap: pixels that it has in common with each neighbour.

    Returns:
        (tile,) float32 in [0, 1]; 1 where nothing overlaps, so that a single tile keeps its values to the bit.
    """
    if blend == "gaussian" and overlap:
        distance = (np.arange(tile) - (tile - 1) / 2) / (tile * _SIGMA)
        bell: NDArray[np.float32] = np.maximum(np.exp(-0.5 * distance**2), _LEAST).astype(np.float32)
        return bell
    values = np.ones(tile, dtype=np.float32)
    if blend == "cosine" and overlap:
        ramp = min(overlap, tile // 2)
        rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / ramp)
        values[:ramp] = np.maximum(rise, _LEAST)
        values[tile - ramp :] = values[:ramp][::-1]
    return values


def own(index: int, tiles: Axis) -> tuple[int, int]:
    """The pixels of a tile that are nearer to its middle than to any other's: first and one after the last."""
    before = tiles.overlap // 2
    begin = 0 if index == 0 else before
    end = tiles.tile if index == tiles.count - 1 else before + tiles.stride
    return begin, end


def scaled(tiles: Axis, ratio: Fraction) -> Axis:
    """The same tiles, without their context, on a result whose sides are ``ratio`` times as long.

    Raises:
        OptionError: tile, stride or context would not be whole pixels.
    """
    tile, stride = tiles.tile * ratio, tiles.stride * ratio
    if tile.denominator != 1 or stride.denominator != 1:
        raise OptionError(
            f"the model gives {ratio} pixel for each of its input, so tile and stride must be multiples of "
            f"{ratio.denominator}; got a tile of {tiles.tile} with a stride of {tiles.stride}"
        )
    if tiles.context and ((tiles.context * ratio).denominator, (_ALIGNMENT * ratio).denominator) != (1, 1):
        raise OptionError(
            f"the model gives {ratio} pixel for each of its input: context must be a multiple of {ratio.denominator}, "
            f"which must divide {_ALIGNMENT}; got a context of {tiles.context}"
        )
    return Axis(math.ceil(tiles.length * ratio), int(tile), int(stride))


def reflected(begin: int, end: int, length: int) -> NDArray[np.int64]:
    """Indices into a side that is continued by its mirror image, the edge pixel not repeated.

    >>> reflected(-2, 6, 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    if length == 1:
        return np.zeros(end - begin, dtype=np.int64)
    period = 2 * (length - 1)
    folded = np.abs(np.arange(begin, end)) % period
    indices: NDArray[np.int64] = np.where(folded < length, folded, period - folded)
    return indices
