"""Parts of one image that can be predicted apart, and give the pixels of a run over the whole image to the bit.

A piece begins and ends at checkpoints of such a run. It runs the tiles of the rows above again that reach into
it, in the batches in which a run over the whole image has them: a model's last bits may depend on these.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smp_predict.grid import scaled, swaths
from smp_predict.job import Job, rows_per_checkpoint
from smp_predict.protocols import Array, Window
from smp_predict.scratch import RawPixels
from smp_predict.tiles import ReadAhead, Tile, cut

# How many rows of tiles a piece has for each that it runs again.
_ROWS = 6


@dataclass(frozen=True)
class Piece:
    """Rows of tiles of a swath.

    Attributes:
        index: among the pieces of its image.
        swath: index of the swath.
        first, last: its first row of tiles, and the one after its last.
        window: the pixels of the result that it gives.
    """

    index: int
    swath: int
    first: int
    last: int
    window: Window


def pieces_of(job: Job) -> list[Piece]:
    """The pieces of an image, which cover it without overlapping."""
    rows, columns = scaled(job.layout.rows, job.ratio), scaled(job.layout.columns, job.ratio)
    found: list[Piece] = []
    for number, swath in enumerate(swaths(job.layout.columns, job.swath_width)):
        step = rows_per_checkpoint(swath, job.batch_size)
        step *= math.ceil(_ROWS * _reaching(job) / step) or 1
        left = int(swath.begin * job.ratio)
        right = columns.length if swath.last == columns.count else int(swath.end * job.ratio)
        for first in range(0, rows.count, step):
            last = min(rows.count, first + step)
            top, bottom = rows.start(first), rows.length if last == rows.count else rows.start(last)
            found.append(Piece(len(found), number, first, last, Window(top, left, bottom - top, right - left)))
    return found


def run_piece(job: Job, piece: Piece, path: Path) -> None:
    """Predict a piece into a file of nothing but its pixels, beside its place, and move it there."""
    swath = list(swaths(job.layout.columns, job.swath_width))[piece.swath]
    step = rows_per_checkpoint(swath, job.batch_size)
    needed = max(0, piece.first - _reaching(job))
    assembler = job.assembler(swath)
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    pixels = RawPixels(beside, shape_of(job, piece), job.finish.dtype)
    batch_size = job.batch_size
    try:
        for batch in _batches(job, piece, needed - needed % step, step):
            if batch[-1].row < needed:
                continue
            present = [tile.pixels for tile in batch if tile.pixels is not None]
            found, batch_size = job.runner(present, batch_size) if present else ([], batch_size)
            scores = iter(found)
            for tile in batch:
                own = None if tile.pixels is None else next(scores)
                if tile.row < needed:
                    continue
                block = job.blended(tile, own, assembler)
                if block is not None and tile.row >= piece.first:
                    there = block.window
                    row, column = there.row - piece.window.row, there.column - piece.window.column
                    pixels.write(Window(row, column, there.height, there.width), job.finish(block))
        pixels.sync()
    finally:
        pixels.close()
    os.replace(beside, path)


def _reaching(job: Job) -> int:
    """How many rows of tiles reach into the next one."""
    rows = job.layout.rows
    return math.ceil(rows.tile / rows.stride) - 1


def shape_of(job: Job, piece: Piece) -> tuple[int, ...]:
    """Of a piece's pixels: (height, width) or (height, width, K)."""
    return (piece.window.height, piece.window.width, *job.shape[2:])


def _batches(job: Job, piece: Piece, begin: int, step: int) -> Iterator[list[Tile]]:
    """The batches of the rows from ``begin`` to the end of a piece; they begin anew after ``step`` rows."""
    swath = list(swaths(job.layout.columns, job.swath_width))[piece.swath]
    waiting: list[Tile] = []
    with ReadAhead(cut(job.source, job.layout, swath, begin, job.nodata, piece.last), 2 * job.batch_size) as tiles:
        for tile in tiles:
            waiting.append(tile)
            stops = tile.column == swath.last - 1 and ((tile.row + 1) % step == 0 or tile.row + 1 == piece.last)
            if stops or sum(item.pixels is not None for item in waiting) == job.batch_size:
                yield waiting
                waiting = []


class Mosaic:
    """The result of all pieces, as a source.

    Args:
        job: of the image.
        pieces: all of them.
        folder: where their files are.
    """

    def __init__(self, job: Job, pieces: list[Piece], folder: Path) -> None:
        self._job, self._pieces, self._folder = job, pieces, folder
        height, width, *channels = job.shape
        self.shape: tuple[int, int, int] = (height, width, channels[0] if channels else 1)
        self.dtype = job.finish.dtype

    def read(self, window: Window) -> Array:
        """The pixels of a window; see `smp_predict.Source`."""
        found = np.empty((window.height, window.width, self.shape[2]), self.dtype)
        for piece in self._pieces:
            own = piece.window
            top, left = max(own.row, window.row), max(own.column, window.column)
            bottom = min(own.row + own.height, window.row + window.height)
            right = min(own.column + own.width, window.column + window.width)
            if bottom <= top or right <= left:
                continue
            pixels = RawPixels(piece_path(self._folder, piece.index), shape_of(self._job, piece), self.dtype)
            try:
                part = pixels.read(Window(top - own.row, left - own.column, bottom - top, right - left))
            finally:
                pixels.close()
            found[top - window.row : bottom - window.row, left - window.column : right - window.column] = part
        return found


def piece_path(folder: Path, index: int) -> Path:
    """The file of a piece's pixels; it is there when they all are."""
    return folder / f"piece-{index}"
