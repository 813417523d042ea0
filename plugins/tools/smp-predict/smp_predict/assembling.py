"""Blending the scores of tiles, and giving away each part of the image as soon as no further tile reaches it.

Tiles come row by row, from left to right. What is kept between two tile rows is what they have in common, and between
two tiles of a row the extent of one tile; nothing here grows with the height of the image, nor with its width beyond
that of a swath.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from smp_predict.errors import ModelOutputError
from smp_predict.grid import Axis, Blend, Swath, own, weights
from smp_predict.protocols import Array, Window


@dataclass(frozen=True)
class Block:
    """A finished part of the result.

    Attributes:
        window: where it lies.
        scores: (K, height, width) float32, the weighted means; anything where nothing was predicted. They are there
            until the next tile is added.
        missing: (height, width) bool, where nothing was predicted; None: nowhere.
    """

    window: Window
    scores: Tensor
    missing: Tensor | None


class Assembler:
    """The open part of a swath.

    Args:
        rows, columns: the tiles, in pixels of the result.
        swath: the columns of tiles, and the pixels of the result that are finished.
        classes: K.
        blend: what each pixel of a tile counts.
        device: where the sums are kept.
        former: that of the swath before, which is not used any more: its memory is. An allocator that is given such
            pieces back now and then would keep some of them.
    """

    def __init__(
        self,
        rows: Axis,
        columns: Axis,
        swath: Swath,
        *,
        classes: int,
        blend: Blend,
        device: torch.device,
        former: Assembler | None = None,
    ) -> None:
        self._rows, self._columns, self._swath = rows, columns, swath
        self._classes, self._blend, self._device = classes, blend, device
        width = columns.start(swath.last - 1) + columns.tile - columns.start(swath.first)
        # The last channel sums the weights.
        shape = classes + 1, max(rows.overlap, 0), width
        self._memory: Tensor = torch.empty(0, device=device) if former is None else former._memory
        if len(self._memory) < math.prod(shape):
            self._memory = torch.empty(math.prod(shape), device=device)
        self.carry = self._memory[: math.prod(shape)].view(shape).zero_()
        size = classes + 1, rows.tile, columns.tile
        self._open: Tensor = torch.empty(size, device=device) if former is None else former._open
        self._down = torch.from_numpy(weights(blend, rows.tile, rows.overlap)).to(device)
        self._across = torch.from_numpy(weights(blend, columns.tile, columns.overlap)).to(device)

    def add(self, row: int, column: int, scores: Tensor | None, missing: Array | None = None) -> Block | None:
        """Blend a tile in.

        Args:
            row, column: its place among the tiles.
            scores: (K, tile height, tile width); None: nothing was predicted.
            missing: (h, w) bool, of the tile in pixels of the image: where there is nothing to predict.

        Returns:
            What is finished by it; None: nothing of this swath.

        Raises:
            ModelOutputError: scores of another shape than the model gave at first.
        """
        weight = None
        if scores is not None:
            self._check(scores)
            weight = self._weights(row, column)
            if missing is not None:
                weight = weight * self._there(missing)
        self._advance(column, None if scores is None else scores.to(self._open.dtype), weight)
        last = column == self._swath.last - 1
        done_columns = self._columns.tile if last else self._columns.stride
        done_rows = self._rows.tile if row == self._rows.count - 1 else self._rows.stride
        if self._rows.overlap:
            offset = self._offset(column)
            self.carry[:, :, offset : offset + done_columns] = self._open[:, self._rows.stride :, :done_columns]
        return self._finish(row, column, done_rows, done_columns)

    def _check(self, scores: Tensor) -> None:
        expected = (self._classes, self._rows.tile, self._columns.tile)
        if tuple(scores.shape) != expected:
            raise ModelOutputError(
                f"the model gives maps of shape {tuple(scores.shape)} for a tile, and gave {expected} for the first; "
                "expected one number of classes and one size for tiles of one size"
            )

    def _offset(self, column: int) -> int:
        return self._columns.start(column) - self._columns.start(self._swath.first)

    def _advance(self, column: int, scores: Tensor | None, weight: Tensor | None) -> None:
        """Move the open tile to a column and add scores: each pixel is gone over once.

        What was there before is what it shares with the tile before, the carry above, and nothing elsewhere.
        """
        rows, tile = self._rows.overlap, self._columns.tile
        shared = 0 if column == self._swath.first else self._columns.overlap
        offset = self._offset(column)
        former = self._open[:, :, tile - shared :]
        above = self.carry[:, :, offset + shared : offset + tile]
        if shared > self._columns.stride:  # they would be read where they are written already
            former = former.clone()
        places = (
            (former, slice(None), slice(0, shared)),
            (above, slice(0, rows), slice(shared, None)),
            (None, slice(rows, None), slice(shared, None)),
        )
        for before, down, across in places:
            here = self._open[:, down, across]
            if scores is None or weight is None:
                here.zero_() if before is None else here.copy_(before)
                continue
            sums, counts = here[: self._classes], here[self._classes]
            new, share = scores[:, down, across], weight[down, across]
            if before is None:
                torch.mul(new, share, out=sums)
                counts.copy_(share)
            else:
                torch.addcmul(before[: self._classes], new, share, out=sums)
                torch.add(before[self._classes], share, out=counts)

    def _there(self, missing: Array) -> Tensor:
        """1 where there is something, in pixels of the result."""
        rows, columns = (
            np.arange(there) * here // there
            for there, here in zip((self._rows.tile, self._columns.tile), missing.shape, strict=True)
        )
        return torch.from_numpy(~missing[rows][:, columns]).to(self._device)

    def _weights(self, row: int, column: int) -> Tensor:
        if self._blend != "none":
            return self._down[:, None] * self._across[None, :]
        weight = torch.zeros(self._rows.tile, self._columns.tile, device=self._device)
        top, bottom = own(row, self._rows)
        left, right = own(column, self._columns)
        weight[top:bottom, left:right] = 1
        return weight

    def _finish(self, row: int, column: int, rows: int, columns: int) -> Block | None:
        top, left = self._rows.start(row), self._columns.start(column)
        bottom = min(top + rows, self._rows.length)
        begin, end = max(left, self._swath.begin), min(left + columns, self._swath.end)
        if end <= begin:
            return None
        part = self._open[:, : bottom - top, begin - left : end - left]
        weight = part[self._classes]
        missing = weight == 0
        # In place: nobody adds to these any more.
        scores = part[: self._classes].div_(torch.where(missing, 1, weight))
        window = Window(top, begin, bottom - top, end - begin)
        return Block(window, scores, missing if bool(missing.any()) else None)
