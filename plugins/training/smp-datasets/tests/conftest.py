"""What holds for all tests, and a writer of PNG files of every depth, which no library at hand is."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# How long an example takes depends on who else uses the machine; it is no failure.
settings.register_profile(
    "smp",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("smp")

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


@pytest.fixture(scope="session")
def write_png() -> Callable[..., Path]:
    """``write_png(path, values (H, W, C), depth, interlaced, filters, palette)``."""
    return _write_png


def _write_png(
    path: Path,
    values: np.ndarray[Any, Any],
    depth: int,
    interlaced: bool = False,
    filters: tuple[int, ...] = (0,),
    palette: np.ndarray[Any, Any] | None = None,
) -> Path:
    height, width, channels = values.shape
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    parts = [values[y::dy, x::dx] for y, x, dy, dx in passes]
    step = max(1, channels * depth // 8)
    data = b"".join(_filtered(_packed(part, depth), step, filters) for part in parts if part.size)
    colour_type = _COLOUR_TYPES[channels] if palette is None else 3
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    if palette is not None:
        chunks.insert(1, (b"PLTE", palette.astype(np.uint8).tobytes()))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks))
    return path


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _packed(values: np.ndarray[Any, Any], depth: int) -> list[bytes]:
    """The bytes of each row."""
    rows = values.reshape(len(values), -1)
    if depth == 16:
        return [row.astype(">u2").tobytes() for row in rows]
    bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :]
    return [np.packbits(row.reshape(-1)).tobytes() for row in bits]


def _filtered(rows: list[bytes], step: int, filters: tuple[int, ...]) -> bytes:
    """Rows with the filters of the PNG specification, taken in turn."""
    result, above = bytearray(), bytes(len(rows[0]))
    for number, row in enumerate(rows):
        kind = filters[number % len(filters)]
        result.append(kind)
        for i, byte in enumerate(row):
            a, b, c = (row[i - step], above[i], above[i - step]) if i >= step else (0, above[i], 0)
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            result.append((byte - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
        above = row
    return bytes(result)


@pytest.fixture
def noise() -> Callable[..., np.ndarray[Any, Any]]:
    """``noise(*shape, below=256, dtype=np.uint8)``: seeded."""
    generator = np.random.default_rng(0)

    def make(*shape: int, below: int = 256, dtype: Any = np.uint8) -> np.ndarray[Any, Any]:
        return generator.integers(0, below, shape).astype(dtype)

    return make
