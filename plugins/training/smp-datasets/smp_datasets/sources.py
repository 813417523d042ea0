"""Images and masks that are read a window at a time, through the sources of smp-predict.

Files are opened in the process that reads them, and some at a time.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smp_datasets.errors import OptionError
from smp_datasets.pixels import Array, Pixels, suffix_of
from smp_datasets.read import read_pixels
from smp_datasets.whole import open_file, pixels_of, read_window, smp_predict

if TYPE_CHECKING:
    from smp_predict import Source

# Decoded as a whole by their library; as masks they are read so that palettes give indices.
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".pgm", ".ppm")

# How many files are open at once.
_OPEN = 16


def open_windows(given: Any, *, as_mask: bool) -> Source:
    """A source, an array or a path as a source.

    Args:
        given: what it is.
        as_mask: read pictures so that their values can be classes.

    Raises:
        UnreadableFileError: it cannot be read.
        OptionError: it is none of these.
        MissingDependencyError: a package is missing.
    """
    package = smp_predict("reading windows of images")
    if isinstance(given, np.ndarray):
        found: Source = package.ArraySource(given)
        return found
    if not isinstance(given, (str, os.PathLike)):
        if isinstance(given, package.Source):
            own: Source = given
            return own
        raise OptionError(f"images and masks must be paths, arrays or sources, got {type(given).__name__}")
    path = os.fspath(given)
    if as_mask and suffix_of(path) in _PICTURES:
        return _mask_picture(path)
    found = open_file(path)
    if as_mask and suffix_of(path) in (".tif", ".tiff") and _is_picture(found):  # of a palette: its entries are classes
        return _mask_picture(path)
    return found


def _is_picture(source: Source) -> bool:
    """Whether smp-predict read it as a picture, as a whole and in the colours of its palette."""
    from smp_predict.formats.pictures import PictureSource

    return isinstance(source, PictureSource)


class _Picture:
    """A mask that is decoded as a whole, with its palette."""

    def __init__(self, pixels: Pixels) -> None:
        height, width, channels = pixels.values.shape
        self.shape, self.dtype = (height, width, channels), pixels.values.dtype
        self.colours, self.kind, self.palette = pixels.colours, pixels.kind, pixels.palette
        self._values = pixels.values

    def read(self, window: Any) -> Array:
        """The pixels of a window."""
        return np.array(self._values[window.slices])


def _mask_picture(path: str) -> Source:
    return _Picture(read_pixels(path, as_mask=True))


class Opened:
    """Files that are opened when they are read, and again in each process.

    Args:
        given: paths, arrays or sources.
        as_mask: see `open_windows`.
    """

    def __init__(self, given: Sequence[Any], *, as_mask: bool) -> None:
        self._given, self._as_mask = list(given), as_mask
        self._open: OrderedDict[int, Source] = OrderedDict()
        self._process = os.getpid()

    def __len__(self) -> int:
        return len(self._given)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}

    def name(self, index: int) -> str:
        """For errors: the path, or which one of those that have none."""
        given = self._given[index]
        return os.fspath(given) if isinstance(given, (str, os.PathLike)) else f"number {index}"

    def shape(self, index: int) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self._source(index).shape

    def read(self, index: int, rows: Array, columns: Array) -> Pixels:
        """The pixels of rows and columns, in whatever order these are: those of one rectangle are read."""
        package = smp_predict("reading windows of images")
        source, name = self._source(index), self.name(index)
        top, left = int(rows.min()), int(columns.min())
        window = package.Window(top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left)
        values = read_window(source, window, name)
        if len(rows) != window.height or len(columns) != window.width or rows[0] != top or columns[0] != left:
            values = values[rows - top][:, columns - left]
        return pixels_of(source, name, np.ascontiguousarray(values))

    def _source(self, index: int) -> Source:
        if self._process != os.getpid():  # a forked worker must not share the position in a file
            self._open, self._process = OrderedDict(), os.getpid()
        if index not in self._open:
            if len(self._open) >= _OPEN:
                self._open.popitem(last=False)
            self._open[index] = open_windows(self._given[index], as_mask=self._as_mask)
        self._open.move_to_end(index)
        return self._open[index]
