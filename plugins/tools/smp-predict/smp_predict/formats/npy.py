"""NumPy's .npy files, read and written by parts without mapping them into memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from smp_predict.arrays import check_pixels
from smp_predict.errors import SourceError
from smp_predict.formats.stripes import stripes
from smp_predict.protocols import Array, Result, Window


class NpySource:
    """A .npy file with an array (H, W) or (H, W, C) in C or Fortran order.

    Raises:
        SourceError: it is damaged, or holds something else.
    """

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115  # read until the source is forgotten
        try:
            shape, self._stored, self._fortran = _header(self._file)
        except ValueError as error:
            self._file.close()
            raise SourceError(f"cannot read {path!r}: {error}") from error
        self._start = self._file.tell()
        self._path = path
        size = Path(path).stat().st_size - self._start
        check_pixels(shape, self._stored, f"{path!r}")
        if size < math.prod(shape) * self._stored.itemsize:
            raise SourceError(f"cannot read {path!r}: it ends early, with {size} bytes for an array of shape {shape}")
        self._shape = shape
        self.shape = (shape[0], shape[1], shape[2] if len(shape) == 3 else 1)
        self.dtype = self._stored.newbyteorder("=")

    def read(self, window: Window) -> Array:
        """The pixels of a window."""
        if self._fortran:
            # Rows are far apart: there is no reading them by parts.
            mapped = np.memmap(self._path, self._stored, "r", self._start, self._shape, order="F")
            return np.array(mapped[window.slices], self.dtype).reshape(window.height, window.width, -1)
        row = self.shape[1] * self.shape[2]
        count = window.width * self.shape[2]
        pixels = np.empty((window.height, count), self._stored)
        if window.width == self.shape[1]:
            self._read(pixels, window.row * row)
        else:
            for offset in range(window.height):
                self._read(pixels[offset], (window.row + offset) * row + window.column * self.shape[2])
        return pixels.astype(self.dtype, copy=False).reshape(window.height, window.width, self.shape[2])

    def _read(self, values: Array, first: int) -> None:
        self._file.seek(self._start + first * self._stored.itemsize)
        if self._file.readinto(values.reshape(-1).view(np.uint8).data) != values.nbytes:
            raise SourceError(f"cannot read {self._path!r}: it ended early")

    def __del__(self) -> None:
        self._file.close()


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return shape, dtype, fortran


def write(path: Path, result: Result) -> None:
    """Write (H, W) or (H, W, K)."""
    pixels = result.pixels
    header = {
        "descr": np.lib.format.dtype_to_descr(pixels.dtype),
        "fortran_order": False,
        "shape": pixels.shape[:2] if result.squeezed else pixels.shape,
    }
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _, block in stripes(pixels):
            file.write(np.ascontiguousarray(block).data)
