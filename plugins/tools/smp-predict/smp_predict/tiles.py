"""Reading tiles ahead of the model: bands of rows, mirrored beyond the edges, cut into tiles in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from smp_predict.errors import SourceError
from smp_predict.grid import Axis, Swath, reflected
from smp_predict.protocols import Array, Source, Window


@dataclass(frozen=True)
class Tile:
    """One tile of an image.

    Attributes:
        row, column: its place among the tiles.
        pixels: (h, w, C) in the source's dtype, with the tile's context; None: there is nothing but nodata.
        missing: (h, w) bool, where the tile itself has nodata beside pixels; None: nowhere, or everywhere.
    """

    row: int
    column: int
    pixels: Array | None
    missing: Array | None = None


@dataclass(frozen=True)
class Layout:
    """The tiles of an image: those along its rows, and those along its columns."""

    rows: Axis
    columns: Axis

    def own(self, row: int, column: int) -> tuple[slice, slice]:
        """The tile itself within what the model sees."""
        top, left = (side.start(k) - side.window(k) for side, k in ((self.rows, row), (self.columns, column)))
        return slice(top, top + self.rows.tile), slice(left, left + self.columns.tile)


@dataclass(frozen=True)
class Nodata:
    """Which pixels show nothing.

    Attributes:
        value: that all channels have there. Of floats, pixels with a channel that is NaN or infinite show nothing
            either, whatever the value, as no model takes them.
        mask: what the file leaves out of a window, (h, w) bool; None: nothing.
    """

    value: float
    mask: Callable[[Window], Array] | None = None


class _WithMask:
    """A source whose last channel beyond its own is 1 where the file leaves something out."""

    def __init__(self, source: Source, mask: Callable[[Window], Array]) -> None:
        self._source, self._mask = source, mask
        height, width, channels = source.shape
        self.shape = (height, width, channels + 1)
        self.dtype = source.dtype

    def read(self, window: Window) -> Array:
        """The pixels of a window, and their mask."""
        mask = self._mask(window)[..., None].astype(self.dtype)
        return np.concatenate([self._source.read(window), mask], axis=2)


class _Band:
    """The rows of one swath, read once each: those that two bands have in common are kept."""

    def __init__(self, source: Source, layout: Layout, swath: Swath) -> None:
        self._source = source
        self._layout = layout
        columns = layout.columns
        begin = columns.window(swath.first)
        end = columns.window(swath.last - 1) + columns.seen
        wanted = reflected(begin, end, columns.length)
        self._left = int(wanted.min())
        self._width = int(wanted.max()) + 1 - self._left
        self._columns = wanted - self._left
        self._kept: Array | None = None
        self._kept_from = 0

    def read(self, row: int) -> Array:
        """The band of a tile row: (what the model sees, width of the swath with its mirror image, C)."""
        rows = self._layout.rows
        begin = rows.window(row)
        wanted = reflected(begin, begin + rows.seen, rows.length)
        first, last = int(wanted.min()), int(wanted.max()) + 1
        self._kept = self._rows(first, last)
        self._kept_from = first
        band = self._kept
        if not np.array_equal(wanted, np.arange(first, last)):
            band = band[wanted - first]
        if len(self._columns) != self._width or self._columns[0] != 0:
            band = band[:, self._columns]
        return band

    def _rows(self, first: int, last: int) -> Array:
        kept, end = self._kept, 0 if self._kept is None else self._kept_from + len(self._kept)
        if kept is None or not self._kept_from <= first < end <= last:
            return np.array(self._window(first, last))  # a copy: the source may have given its own pixels
        common = kept[first - self._kept_from :]
        # In place where it can be, so that no second band is held: tiles are copies.
        rows = kept if len(kept) == last - first else np.empty((last - first, *kept.shape[1:]), kept.dtype)
        rows[: end - first] = common
        if end < last:
            rows[end - first :] = self._window(end, last)
        return rows

    def _window(self, first: int, last: int) -> Array:
        window = Window(first, self._left, last - first, self._width)
        pixels = self._source.read(window)
        expected = (window.height, window.width, self._source.shape[2])
        if pixels.shape != expected or pixels.dtype != self._source.dtype:
            raise SourceError(
                f"the source gave {pixels.dtype} of shape {pixels.shape} for {window}; "
                f"expected {self._source.dtype} of shape {expected}"
            )
        return pixels


def cut(
    source: Source, layout: Layout, swath: Swath, first_row: int, nodata: Nodata | None, last_row: int | None = None
) -> Iterator[Tile]:
    """The tiles of a swath, row by row from ``first_row`` on, to before ``last_row``; None: to the end."""
    mask = nodata and nodata.mask
    band = _Band(_WithMask(source, mask) if mask else source, layout, swath)
    columns = layout.columns
    for row in range(first_row, layout.rows.count if last_row is None else last_row):
        pixels = band.read(row)
        for column in range(swath.first, swath.last):
            begin = columns.window(column) - columns.window(swath.first)
            yield _tile(layout, row, column, pixels[:, begin : begin + columns.seen], nodata)


def _tile(layout: Layout, row: int, column: int, pixels: Array, nodata: Nodata | None) -> Tile:
    missing = None
    if nodata is not None and nodata.mask is not None:
        pixels, left_out = pixels[..., :-1], pixels[..., -1] != 0
        missing = is_missing(pixels, nodata.value) | left_out
    elif nodata is not None:
        missing = is_missing(pixels, nodata.value)
    if missing is None or not missing.any():
        return Tile(row, column, pixels.copy())
    own = missing[layout.own(row, column)]
    if own.all():
        return Tile(row, column, None)
    # The model sees pixels near those without: not -9999, nor NaN, which would make all of its result NaN.
    mean = pixels[~missing].mean(axis=0, dtype=np.float64)
    filled = pixels.copy()
    filled[missing] = mean if pixels.dtype.kind == "f" else np.rint(mean)
    return Tile(row, column, np.ascontiguousarray(filled), own if own.any() else None)


def is_missing(pixels: Array, nodata: float) -> Array:
    """(h, w) bool: where every channel is nodata, or of floats any is NaN or infinite."""
    missing = np.asarray(np.equal(pixels, nodata).all(axis=2))
    if pixels.dtype.kind != "f":
        return missing
    return np.asarray(missing | np.logical_not(np.isfinite(pixels)).any(axis=2))


class ReadAhead:
    """Runs an iterator of tiles in a thread, some tiles ahead of whoever asks for them.

    Use it as a context: on leaving, the thread has ended, whatever happened.
    """

    def __init__(self, tiles: Iterator[Tile], ahead: int) -> None:
        self._tiles = tiles
        self._queue: queue.Queue[Tile | BaseException | None] = queue.Queue(maxsize=ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="smp-predict-reader", daemon=True)

    def __enter__(self) -> ReadAhead:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[Tile]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        try:
            for tile in self._tiles:
                if not self._put(tile):
                    return
            self._put(None)
        except BaseException as error:  # raised again where the tiles are awaited
            self._put(error)

    def _put(self, item: Tile | BaseException | None) -> bool:
        """Wait for room; False: nobody waits any more."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
