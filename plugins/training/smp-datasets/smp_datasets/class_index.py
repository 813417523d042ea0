"""Where in large masks the classes are: counts of each class in blocks, and random pixels of a class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from smp_datasets.errors import LabelError
from smp_datasets.labels import Labels
from smp_datasets.sources import Opened

# Side of a block: a random pixel of a class costs the reading of one.
_BLOCK = 256


class ClassIndex:
    """Counts of each class in the blocks of all masks; masks are read once, a row of blocks at a time.

    Args:
        masks: what is read.
        labels: what their pixels mean.

    Attributes:
        classes: values that occur, sorted.
        counts: pixels of each.
    """

    def __init__(self, masks: Opened, labels: Labels) -> None:
        blocks: list[tuple[int, int, int]] = []
        found: list[dict[int, int]] = []
        for block, values in _blocks(masks, labels):
            numbers, counts = np.unique(values, return_counts=True)
            blocks.append(block)
            found.append({int(number): int(count) for number, count in zip(numbers, counts, strict=True)})
        self.classes = sorted({number for item in found for number in item})
        self._blocks = np.array(blocks, dtype=np.int64).reshape(-1, 3)
        table = [[item.get(number, 0) for number in self.classes] for item in found]
        self._counts: NDArray[np.int64] = np.array(table, dtype=np.int64).reshape(len(blocks), -1)
        totals = self._counts.sum(axis=0).tolist()
        self.counts = dict(zip(self.classes, totals, strict=True))
        self._sums = np.cumsum(self._counts, axis=0)

    def pixel(self, masks: Opened, labels: Labels, number: int, generator: Generator) -> tuple[int, int, int]:
        """A random pixel of a class, each with the same probability: index of the mask, row, column."""
        column = self.classes.index(number)
        chosen = int(generator.integers(self.counts[number]))
        block = int(np.searchsorted(self._sums[:, column], chosen, side="right"))
        mask, top, left = self._blocks[block].tolist()
        values = _encoded(masks, labels, mask, top, left)
        rows, columns = np.nonzero(values == number)
        if not len(rows):
            raise LabelError(f"mask {masks.name(mask)!r} has changed since it was indexed: class {number} is gone")
        place = chosen - int(self._sums[block, column] - self._counts[block, column])
        place = min(place, len(rows) - 1)
        return mask, top + int(rows[place]), left + int(columns[place])


def _blocks(masks: Opened, labels: Labels) -> Iterator[tuple[tuple[int, int, int], NDArray[np.int64]]]:
    for mask in range(len(masks)):
        height, width, _ = masks.shape(mask)
        for top in range(0, height, _BLOCK):
            rows = np.arange(top, min(top + _BLOCK, height))
            # A row of blocks at once: strips and compressed rows are decoded once.
            values = labels.encode(masks.read(mask, rows, np.arange(width)))
            for left in range(0, width, _BLOCK):
                yield (mask, top, left), values[:, left : left + _BLOCK].astype(np.int64)


def _encoded(masks: Opened, labels: Labels, mask: int, top: int, left: int) -> NDArray[np.int64]:
    height, width, _ = masks.shape(mask)
    rows, columns = np.arange(top, min(top + _BLOCK, height)), np.arange(left, min(left + _BLOCK, width))
    return labels.encode(masks.read(mask, rows, columns)).astype(np.int64)
