"""What is read from one file, before it is an image or a mask."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smp_datasets.errors import UnreadableFileError

Array = NDArray[Any]

Colours = Literal["grey", "rgb", "none"]


@dataclass(frozen=True)
class Pixels:
    """The pixels of one file.

    Attributes:
        path: the file.
        values: (H, W, C), in the machine's byte order; of a palette file read as a mask, C is 1: the indices.
        kind: how the file stores them, for errors: ``"8-bit RGB"``.
        colours: the leading channels are grey (one), red, green and blue (three), or mean nothing in particular.
            A channel after grey or colours is alpha.
        palette: (entries, 3) uint8, of a palette file read as a mask.
    """

    path: str
    values: Array
    kind: str
    colours: Colours = "none"
    palette: NDArray[np.uint8] | None = None

    @property
    def channels(self) -> int:
        """C."""
        return int(self.values.shape[2])

    @property
    def size(self) -> str:
        """Height and width, for errors."""
        return f"{self.values.shape[0]}x{self.values.shape[1]}"


def plain(values: Array) -> Array:
    """An array of its own: contiguous, writable, in the machine's byte order; a channel axis is added where missing."""
    native = values.astype(values.dtype.newbyteorder("="), order="C", copy=True)
    return native[..., None] if native.ndim == 2 else native


def numbers(path: str, values: Array) -> Array:
    """As `plain`, of an array of any file: (H, W) or (H, W, C), True and False as 1 and 0.

    Raises:
        UnreadableFileError: it is no array of numbers, has other axes, or holds nothing.
    """
    if values.ndim not in (2, 3) or values.dtype.kind not in "buif" or values.size == 0:
        raise UnreadableFileError(
            f"cannot read {path!r}: it holds an array of shape {values.shape} and dtype {values.dtype}; expected "
            "numbers of shape (height, width) or (height, width, channels)"
        )
    return plain(values.astype(np.uint8) if values.dtype == np.bool_ else values)


def suffix_of(path: str) -> str:
    """The lower-case extension with its dot."""
    return os.path.splitext(path)[1].lower()


def count(number: int, noun: str) -> str:
    """``1 channel``, ``2 channels``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
