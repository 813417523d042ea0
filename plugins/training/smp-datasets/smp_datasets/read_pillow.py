"""Reading with Pillow, and what Pillow alone would lose: the lower bytes of 16-bit colours, raw values of masks.

Pillow keeps several channels in 8 bits each. A PNG with 16 bits a channel opens without a complaint and gives the
higher bytes. The lower ones are had by decoding a second time with the bytes of each number exchanged; grey with alpha
is taken for an 8-bit picture of twice the channels. Both are exact, and as fast as Pillow.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from smp_datasets.errors import UnreadableFileError
from smp_datasets.pixels import Array, Colours, Pixels, plain

# Modes that are turned into a plain one first; what is not here stays as it is.
_TO_PLAIN = {"1": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "RGBX": "RGB"}
_TO_PLAIN |= {"RGBa": "RGBA", "La": "LA", "PA": "RGBA"}

_KINDS = {"L": "grey", "LA": "grey with alpha", "RGB": "RGB", "RGBA": "RGBA"}
_COLOURS: dict[str, Colours] = {"L": "grey", "LA": "grey", "RGB": "rgb", "RGBA": "rgb"}

_ORIENTATION = 0x0112

_PNG_GREY, _PNG_GREY_ALPHA = 0, 4


def read_with_pillow(path: str, as_mask: bool, upright: bool) -> Pixels:
    """Read a file that is not a TIFF; any exception of Pillow passes through."""
    with Image.open(path) as image:
        frames = getattr(image, "n_frames", 1) if image.format == "GIF" else 1
        if frames > 1:
            raise UnreadableFileError(
                f"cannot read {path!r}: it is an animation of {frames} frames; save the one that is meant"
            )
        depth, colour_type = _png_header(path) if image.format == "PNG" else (8, -1)
        if depth == 16 and colour_type != _PNG_GREY:
            image.load()
            pixels = _read_16_bit_png(path, image, colour_type)
        else:
            pixels = read_open_image(path, image, as_mask, depth if colour_type == _PNG_GREY else 8)
        # Asked for after the pixels were read: the EXIF data of a PNG may follow them.
        orientation = int(image.getexif().get(_ORIENTATION, 1)) if upright else 1
    if orientation == 1:
        return pixels
    values = plain(turn(pixels.values, orientation))
    return Pixels(path, values, pixels.kind, pixels.colours, pixels.palette)


def read_open_image(path: str, image: Image.Image, as_mask: bool, depth: int) -> Pixels:
    """The pixels of an open image.

    Args:
        path: its file.
        image: from :func:`PIL.Image.open`.
        as_mask: see :func:`smp_datasets.read.read_pixels`.
        depth: bits a pixel of grey, as the file has them; Pillow stretches 2 and 4 to 8.
    """
    if as_mask and image.mode == "P":
        return _read_palette_mask(path, image)
    if as_mask and image.mode == "1":
        return Pixels(path, plain(np.asarray(image).astype(np.uint8)), "1-bit grey", "grey")
    mode = image.mode
    if mode == "P":
        mode = "RGBA" if "transparency" in image.info else "RGB"
    mode = _TO_PLAIN.get(mode, mode)
    values = plain(np.asarray(image if mode == image.mode else image.convert(mode)))
    if mode in _COLOURS:
        if as_mask and depth in (2, 4):
            values = values // np.uint8(255 // (2**depth - 1))
        return Pixels(path, values, f"{depth if depth < 8 else 8}-bit {_KINDS[mode]}", _COLOURS[mode])
    if mode == "I" and image.format == "PNG":
        # PNG has nothing wider than 16 bits, but older versions of Pillow open those as 32.
        values = values.astype(np.uint16)
    return Pixels(path, values, f"{values.dtype} grey", "grey")


def _read_palette_mask(path: str, image: Image.Image) -> Pixels:
    image.load()
    palette = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    return Pixels(path, plain(np.asarray(image)), "8-bit palette", "none", palette)


def turn(values: Array, orientation: int) -> Array:
    """(H, W, C) as stored -> as it is to be seen, for an orientation from 1 to 8 of EXIF and TIFF; others as 1."""
    if orientation in (5, 6, 7, 8):
        values = values.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values


def _png_header(path: str) -> tuple[int, int]:
    """Bits a channel and colour type, from the fixed place that they have in a PNG file."""
    with Path(path).open("rb") as file:
        start = file.read(26)
    return start[24], start[25]


def _read_16_bit_png(path: str, image: Image.Image, colour_type: int) -> Pixels:
    if colour_type == _PNG_GREY_ALPHA:
        return Pixels(path, plain(_as_8_bit_rgba(path).view(">u2")), "16-bit grey with alpha", "grey")
    high = np.asarray(image)
    # Should Pillow learn to keep 16 bits, they are all there.
    values = (high.astype(np.uint16) << 8) | _low_bytes(path) if high.dtype == np.uint8 else high
    return Pixels(path, plain(values), f"16-bit {_KINDS.get(image.mode, image.mode)}", "rgb")


def _low_bytes(path: str) -> Array:
    with Image.open(path) as image:
        tiles: list[Any] = []
        for tile in image.tile:
            arguments = tile[3]
            raw = arguments[0] if isinstance(arguments, tuple) else arguments
            if not isinstance(raw, str) or not raw.endswith(";16B"):
                raise UnreadableFileError(
                    f"cannot read {path!r}: this version of Pillow would keep 8 of its 16 bits; convert it to .npy"
                )
            low = raw[:-1] + "L"
            # A plain tuple before Pillow 11, a named one since.
            tiles.append(tile._replace(args=low) if hasattr(tile, "_replace") else (*tile[:3], low))
        image.tile = tiles
        return np.asarray(image)


def _as_8_bit_rgba(path: str) -> Array:
    """(H, W, 4) bytes of a 16-bit PNG of grey and alpha: its pixels have as many bytes; only the header differs."""
    data = bytearray(Path(path).read_bytes())
    data[24:26] = 8, 6
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with Image.open(io.BytesIO(data)) as image:
        return np.ascontiguousarray(np.asarray(image))
