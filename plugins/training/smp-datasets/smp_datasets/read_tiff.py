"""Reading TIFF: with Pillow what Pillow reads without loss, with tifffile the rest.

Pillow opens much that it does not keep: of five bands it gives three, of 16-bit bands the higher bytes, of grey with an
extra band the grey, of signed bytes the unsigned. The tags say when.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from smp_datasets.errors import MissingDependencyError, UnreadableFileError
from smp_datasets.pixels import Array, Pixels, numbers, plain
from smp_datasets.read_pillow import read_open_image, turn
from smp_datasets.tiff_directories import check_directories

_BITS, _SAMPLES, _FORMAT, _SUBFILE, _ORIENTATION = 258, 277, 339, 254, 274
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3

_UNCOMPRESSED = 1

# How many times larger than the file an image can be: tiles of zeros that are left out take 16 bytes each.
_LARGEST_RATIO = 200_000

# A page that is a smaller copy of another, or its transparency.
_SUBORDINATE = 1 | 4


def read_tiff(path: str, as_mask: bool) -> Pixels:
    """Read a TIFF; any exception of Pillow or tifffile passes through."""
    check_directories(path)
    try:
        # Not by its name: Pillow then maps plain files into memory, and garbles those that are stored on their side.
        with Path(path).open("rb") as file, Image.open(file) as image:
            if image.format != "TIFF":
                raise UnreadableFileError(f"cannot read {path!r}: it is a {image.format}, not a TIFF; rename it")
            pages = _pages(path, image, as_mask)
    except UnidentifiedImageError:
        pages = None
    if pages is None:
        return _read_with_tifffile(path)
    if len(pages) == 1:
        return pages[0]
    if len({page.values.shape for page in pages}) > 1:
        sizes = ", ".join(f"{page.size}x{page.channels}" for page in pages[:8])
        raise UnreadableFileError(
            f"cannot read {path!r}: its {len(pages)} pages are channels and must be alike, but are {sizes}"
        )
    values = np.concatenate([page.values for page in pages], axis=2)
    return Pixels(path, values, f"{len(pages)}-page {pages[0].kind}")


def _pages(path: str, image: Image.Image, as_mask: bool) -> list[Pixels] | None:
    """Every page that counts; None: Pillow would lose something."""
    found = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        tags = image.tag_v2  # type: ignore[attr-defined]
        if number and tags.get(_SUBFILE, 0) & _SUBORDINATE:
            continue
        bits = tuple(tags.get(_BITS, (1,)))
        formats = set(tags.get(_FORMAT, (_UNSIGNED,)))
        if not _keeps_all(image.mode, tags.get(_SAMPLES, 1), bits, formats):
            return None
        pixels = read_open_image(path, image, as_mask, bits[0])
        if bits[0] == 32 and formats == {_UNSIGNED}:
            pixels = Pixels(path, pixels.values.view(np.uint32), "uint32 grey", "grey")
        # Newer versions of Pillow have turned it by now, and taken the tag away.
        orientation = int(image.getexif().get(_ORIENTATION, 1))
        if orientation != 1:
            values = plain(turn(pixels.values, orientation))
            pixels = Pixels(path, values, pixels.kind, pixels.colours, pixels.palette)
        found.append(pixels)
    return found


def _keeps_all(mode: str, samples: int, bits: tuple[int, ...], formats: set[int]) -> bool:
    if samples != {"LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3, "LAB": 3, "PA": 2}.get(mode, 1):
        return False
    if samples > 1:
        return set(bits) == {8} and formats == {_UNSIGNED}
    if formats == {_FLOAT}:
        return mode == "F" and bits == (32,)
    if formats == {_SIGNED}:
        return mode == "I" and bits in ((16,), (32,))
    return bits[0] in (1, 2, 4, 8, 16, 32) and mode != "F"


def _read_with_tifffile(path: str) -> Pixels:
    try:
        import tifffile
    except ImportError as error:
        raise MissingDependencyError(
            f"cannot read {path!r}: Pillow reads no TIFF of this kind without loss (several bands beyond 8-bit RGB and "
            "RGBA, float64, signed bytes); pip install tifffile, or convert it to .npy"
        ) from error
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        _check_data(path, series)
        axes, values = series.axes, _decoded(path, series)
        if values.shape != series.shape:  # of which it only logs that they are fewer than the header says
            raise UnreadableFileError(
                f"cannot read {path!r}: it is damaged; its header says {series.shape}, its data are {values.shape}"
            )
        orientation = int(file.pages[0].tags.valueof(_ORIENTATION, 1))
    return Pixels(path, numbers(path, turn(_channels_last(path, values, axes), orientation)), _kind(values))


def _decoded(path: str, series: Any) -> Array:
    try:
        values: Array = series.asarray()
    except Exception as error:  # tifffile raises errors of several kinds where a codec is missing
        if "imagecodecs" not in str(error):
            raise
        raise MissingDependencyError(
            f"cannot read {path!r}: its compression needs imagecodecs; pip install imagecodecs ({error})"
        ) from error
    return values


def _check_data(path: str, series: Any) -> None:
    """Refuse a header that says more than the file can hold, of which tifffile makes memory, and zeros."""
    page = series.keyframe
    pieces = math.prod(page.chunked)
    there = min(len(item.dataoffsets) for item in series.pages if item is not None)
    if there < pieces:
        raise UnreadableFileError(
            f"cannot read {path!r}: it is damaged; of a page of {pieces} strips or tiles it holds {there}"
        )
    is_whole = page.compression == _UNCOMPRESSED and all(page.dataoffsets)  # a tile of zeros may be left out
    most = Path(path).stat().st_size * (1 if is_whole else _LARGEST_RATIO)
    if page.nbytes > most:
        raise UnreadableFileError(
            f"cannot read {path!r}: it is damaged; its header says {page.shape} and {page.dtype}, {page.nbytes} bytes, "
            f"where the file can hold {most}"
        )


def _channels_last(path: str, values: Array, axes: str) -> Array:
    """An array with named axes -> (H, W, C); whatever is neither Y nor X is a channel."""
    if axes.count("Y") != 1 or axes.count("X") != 1:
        raise UnreadableFileError(f"cannot read {path!r}: its axes are {axes!r}; expected one Y and one X")
    moved = np.moveaxis(values, (axes.index("Y"), axes.index("X")), (0, 1))
    return moved.reshape(*moved.shape[:2], -1)


def _kind(values: Array) -> str:
    return f"{values.dtype} TIFF of {values.ndim} axes"
