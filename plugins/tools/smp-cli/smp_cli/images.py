"""Reading pictures of every common kind as numbers in [0, 1], and giving a model the channels that it takes.

Grey, colour, palette and alpha; 8 and 16 bit; PNG, JPEG, TIFF and whatever else Pillow reads. Pixels are divided by the
largest value of their type (255 or 65535). Pillow reads 16-bit colour at 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from smp_cli.errors import CliError
from smp_cli.files import check_picture

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

# The grey value that the eye sees in a colour (ITU-R 601, as Pillow and most cameras use it).
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

_TO_PLAIN = {"1": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "RGBX": "RGB"}
_TO_PLAIN |= {"RGBa": "RGBA", "La": "LA", "PA": "RGBA"}


@dataclass(frozen=True)
class Picture:
    """What was read from one file.

    Attributes:
        path: the file.
        pixels: (H, W, bands), in [0, 1].
        kind: how it was stored, for errors: ``"8-bit RGB"``.
        colours: the first so many bands are grey (1) or red, green, blue (3); a band after these is alpha.
            0 where the bands are pages of a TIFF.
    """

    path: Path
    pixels: Floats
    kind: str
    colours: int

    @property
    def num_bands(self) -> int:
        """Bands of the file, alpha included."""
        return int(self.pixels.shape[2])


def read_picture(path: Path) -> Picture:
    """Read a picture, upright where its EXIF data say how.

    Raises:
        CliError: it cannot be read, or its pixels have no fixed range.
    """
    check_picture(path)
    try:
        with Image.open(path) as image:
            pages = getattr(image, "n_frames", 1)
            # The further frames of other formats are an animation, or a camera's preview.
            if image.format == "TIFF" and pages > 1:
                return _read_pages(path, image)
            pixels, kind, colours = _read_bands(path, image)
    except CliError:
        raise
    except UnidentifiedImageError:
        raise CliError(f"cannot read image {str(path)!r}: not a picture in a format that Pillow knows") from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise CliError(f"cannot read image {str(path)!r}: {reason or type(error).__name__}") from error
    return Picture(path, pixels, kind, colours)


def _read_pages(path: Path, image: Image.Image) -> Picture:
    pages = [_read_bands(path, page) for page in ImageSequence.Iterator(image)]
    if len({pixels.shape for pixels, _, _ in pages}) > 1:
        raise CliError(f"cannot read image {str(path)!r}: its {len(pages)} pages differ in size; pass one page a file")
    stacked = np.concatenate([pixels for pixels, _, _ in pages], axis=2)
    return Picture(path, stacked, f"{len(pages)}-page {pages[0][1]}", 0)


def _read_bands(path: Path, image: Image.Image) -> tuple[Floats, str, int]:
    """Pixels (H, W, bands) in [0, 1], the kind, and the number of colours."""
    # PNG has nothing wider than 16 bits, but older versions of Pillow open those as 32.
    is_16_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    image = ImageOps.exif_transpose(image)
    mode = image.mode
    if mode == "P":
        mode = "RGBA" if "transparency" in image.info else "RGB"
    mode = _TO_PLAIN.get(mode, mode)
    if mode != image.mode:
        image = image.convert(mode)
    values = np.asarray(image)
    pixels = values[..., None] if values.ndim == 2 else values
    if mode in ("L", "LA", "RGB", "RGBA"):
        kind, colours = ("grey", 1) if mode in ("L", "LA") else (mode, 3)
        return pixels.astype(np.float32) / np.float32(255), f"8-bit {kind}", colours
    if is_16_bits:
        return pixels.astype(np.float32) / np.float32(65535), "16-bit grey", 1
    if mode == "F" and float(values.min()) >= 0.0 and float(values.max()) <= 1.0:
        return pixels.astype(np.float32), "floating-point grey", 1
    low, high = values.min(), values.max()
    raise CliError(
        f"image {str(path)!r} has pixels of mode {mode!r} with values {low:g} to {high:g}, which have no fixed range; "
        "convert it to 8 or 16 bits, or to floating point in 0 to 1"
    )


def to_channels(picture: Picture, count: int) -> Floats:
    """The bands of a picture as the channels of a model: (count, H, W), contiguous.

    A model of one channel takes the grey value, one of three takes red, green and blue (grey is repeated); alpha is
    ignored by both. Any other number must be that of the file's own bands.

    Raises:
        CliError: the picture does not have what the model needs; says what came and what is needed.
    """
    pixels = picture.pixels
    if picture.num_bands == count:
        chosen = pixels
    elif picture.colours and count == 1:
        chosen = grey(picture)[..., None]
    elif picture.colours and count == 3:
        chosen = pixels[..., :3] if picture.colours == 3 else np.repeat(pixels[..., :1], 3, axis=2)
    else:
        bands = f"{picture.num_bands} channel{'s' if picture.num_bands > 1 else ''}"
        raise CliError(
            f"image {str(picture.path)!r} is {picture.kind} with {bands}; "
            f"the model needs {count} channel{'s' if count > 1 else ''}"
        )
    return np.ascontiguousarray(chosen.transpose(2, 0, 1))


def grey(picture: Picture) -> Floats:
    """The grey value of each pixel: (H, W)."""
    if picture.colours == 3:
        value: Floats = picture.pixels[..., :3] @ _LUMA
        return value
    return picture.pixels[..., 0]


def stretch(values: Floats, gamma: float = 1.0) -> Floats:
    """Values mapped to [0, 1] such that the darkest 1 % are black and the brightest 0.5 % are white."""
    low, high = np.percentile(values, (1.0, 99.5))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    scaled = (values - np.float32(low)) / np.float32(max(high - low, 1e-12))
    result: Floats = np.clip(scaled, 0.0, 1.0) ** np.float32(gamma)
    return result


def to_bytes(values: Floats) -> Bytes:
    """[0, 1] to 0..255."""
    return np.rint(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8)
