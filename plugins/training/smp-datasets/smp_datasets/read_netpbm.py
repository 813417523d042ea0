"""Portable grey and colour maps, .pgm and .ppm (https://netpbm.sourceforge.net/doc/), with all of their bits.

Pillow stretches files whose largest value is not 255, so that the classes of a mask would change, and keeps 8 of the 16
bits of colours.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from smp_datasets.errors import UnreadableFileError
from smp_datasets.pixels import Array, Colours, Pixels

# Kind, width, height and largest value, between them white space and comments; one white space ends the header.
_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
_HEADER = re.compile(rb"P([2356])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")
_COLOUR = (b"3", b"6")
_TEXT = (b"2", b"3")


def read_netpbm(path: str, as_mask: bool) -> Pixels:
    """Read the first image of a file; (H, W, 1) or (H, W, 3), uint8 or uint16.

    Args:
        path: the file.
        as_mask: values as they are stored. Otherwise they are scaled so that the file's largest value is white.

    Raises:
        UnreadableFileError: it is damaged, or something else.
    """
    data = Path(path).read_bytes()
    header = _HEADER.match(data)
    if header is None:
        raise UnreadableFileError(f"cannot read {path!r}: it is not a portable grey or colour map (P2, P3, P5 or P6)")
    kind = header[1]
    width, height, most = (int(header[number]) for number in (2, 3, 4))
    if not width or not height or not 0 < most < 65536:
        raise UnreadableFileError(f"cannot read {path!r}: it claims {width}x{height} pixels of up to {most}")
    channels = 3 if kind in _COLOUR else 1
    values = _values(path, data[header.end() :], kind in _TEXT, most, width * height * channels)
    values = values.reshape(height, width, channels)
    if int(values.max()) > most:
        raise UnreadableFileError(f"cannot read {path!r}: it holds {values.max()}, and claims at most {most}")
    white = 255 if most < 256 else 65535
    if not as_mask and most != white:
        values = np.rint(values * (white / most)).astype(values.dtype)
    colours: Colours = "rgb" if channels == 3 else "grey"
    return Pixels(path, values, f"{8 if most < 256 else 16}-bit {'RGB' if channels == 3 else 'grey'}", colours)


def _values(path: str, data: bytes, is_text: bool, most: int, number: int) -> Array:
    dtype = np.dtype(np.uint8 if most < 256 else np.uint16)
    if is_text:
        words = re.sub(rb"#[^\n\r]*", b"", data).split()[:number]
        if len(words) == number and all(word.isdigit() for word in words):
            return np.array(words, dtype=np.int64).clip(0, np.iinfo(dtype).max).astype(dtype)
        found = f"{len(words)} values" if len(words) < number else "something else than numbers"
        raise UnreadableFileError(f"cannot read {path!r}: it holds {found}, expected {number} numbers")
    size = number * dtype.itemsize
    if len(data) < size:
        raise UnreadableFileError(f"cannot read {path!r}: it ends early, with {len(data)} of {size} bytes")
    return np.frombuffer(data[:size], dtype.newbyteorder(">")).astype(dtype)
