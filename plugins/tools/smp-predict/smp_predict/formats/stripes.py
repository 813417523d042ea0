"""Going through a finished result from top to bottom, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

from smp_predict.protocols import Array, Source, Window

_BYTES = 16 << 20


def stripes(pixels: Source, multiple: int = 1) -> Iterator[tuple[Window, Array]]:
    """All rows in order, about 16 MB at a time.

    Args:
        pixels: (H, W, C).
        multiple: each stripe but the last has a multiple of so many rows.
    """
    height, width, channels = pixels.shape
    rows = max(1, _BYTES // (width * channels * pixels.dtype.itemsize))
    rows = max(multiple, rows - rows % multiple)
    for row in range(0, height, rows):
        window = Window(row, 0, min(rows, height - row), width)
        yield window, pixels.read(window)
