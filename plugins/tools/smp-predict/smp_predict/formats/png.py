"""Writing PNG row by row, of any size: grey of 8 or 16 bits (https://www.w3.org/TR/png-3/)."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from smp_predict.errors import SinkError
from smp_predict.formats.stripes import stripes
from smp_predict.protocols import Result

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write(path: Path, result: Result) -> None:
    """Write one map of uint8 or uint16 as grey.

    Raises:
        SinkError: several maps, or floats.
    """
    height, width, channels = result.pixels.shape
    dtype = result.pixels.dtype
    if channels != 1 or dtype.name not in ("uint8", "uint16"):
        raise SinkError(
            f"a PNG holds one map of uint8 or uint16, got {dtype} with {channels}; choose .tif, .zarr or .npy, or "
            "output_dtype='uint8' for probabilities"
        )
    with path.open("wb") as file:
        file.write(_SIGNATURE)
        _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8 * dtype.itemsize, 0, 0, 0, 0))
        compressor = zlib.compressobj(6)
        for window, block in stripes(result.pixels):
            # Each row begins with the number of its filter: 0, none.
            values = block[..., 0].astype(dtype.newbyteorder(">"), copy=False).view(np.uint8)
            rows = np.zeros((window.height, 1 + width * dtype.itemsize), np.uint8)
            rows[:, 1:] = values.reshape(window.height, -1)
            _chunk(file, b"IDAT", compressor.compress(rows.tobytes()))
        _chunk(file, b"IDAT", compressor.flush())
        _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    if not data and kind == b"IDAT":
        return
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
