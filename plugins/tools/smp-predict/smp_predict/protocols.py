"""Where pixels come from and where results go: two small protocols, with rows, columns and channels in this order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, in pixels.

    Attributes:
        row, column: its upper left corner.
        height, width: its extent.
    """

    row: int
    column: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """What selects it from an array (H, W, ...)."""
        return slice(self.row, self.row + self.height), slice(self.column, self.column + self.width)


@runtime_checkable
class Source(Protocol):
    """An image that is read a window at a time.

    A reader thread calls `read`; one call at a time, never two at once. A source may also have ``placement``
    (`Placement`), and ``missing(window)``: (height, width) bool, where its file says that there is no image.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """What `read` returns: an unsigned or signed integer, a float, or bool."""

    def read(self, window: Window) -> Array:
        """The pixels of a window that lies within the image: (height, width, C)."""


def mask_of(source: Source) -> Callable[[Window], Array] | None:
    """What of an image its file leaves out: a source may have a method ``missing(window)``.

    Returns:
        A function that gives (height, width) bool of a window; None: nothing is left out.
    """
    found = getattr(source, "missing", None)
    return found if callable(found) else None


@runtime_checkable
class Sink(Protocol):
    """A result that is written a window at a time, from the first row to the last."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) of labels, (H, W, K) of maps."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """What `write` takes."""

    def write(self, window: Window, block: Array) -> None:
        """Store a block (height, width) or (height, width, K). No two windows overlap."""


@dataclass(frozen=True)
class Placement:
    """Where on earth an image lies, and what of it is no image; formats that know carry it on into the result.

    Attributes:
        crs: the coordinate reference system, as WKT; None: not known.
        transform: the affine transform (a, b, c, d, e, f) from (column, row) to coordinates; None: not known.
        nodata: the pixel value that means "nothing here", of all channels; None: there is none.
        points: ground control points (row, column, x, y, z) in ``crs``, where there is no transform.
    """

    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    nodata: float | None = None
    points: tuple[tuple[float, float, float, float, float], ...] = ()

    def scaled(self, ratio: float) -> Placement:
        """That of a result with ``ratio`` times as many rows and columns."""
        points = tuple((row * ratio, column * ratio, x, y, z) for row, column, x, y, z in self.points)
        if self.transform is None:
            return replace(self, points=points)
        a, b, c, d, e, f = self.transform
        return replace(self, transform=(a / ratio, b / ratio, c, d / ratio, e / ratio, f), points=points)


@dataclass(frozen=True)
class Result:
    """A finished result, as it is handed to the writer of a format.

    Attributes:
        pixels: read window by window; (H, W, 1) of labels, (H, W, K) of maps.
        squeezed: there is one map and no axis of channels: (H, W).
        placement: of the source, for the size of the result.
        nodata: the value of pixels that were skipped; None: none was to be skipped.
        names: of classes, by their labels, for formats that hold names.
    """

    pixels: Source
    squeezed: bool
    placement: Placement
    nodata: float | None = None
    names: Mapping[int, str] = field(default_factory=dict)


def placement_of(source: Source) -> Placement:
    """What a source knows about where it lies: its attribute ``placement``, where it has one."""
    placement = getattr(source, "placement", None)
    return placement if isinstance(placement, Placement) else Placement()
