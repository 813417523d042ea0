"""Reading one file of any kind that a dataset may hold, without loss.

| file | read by | what |
|---|---|---|
| .png | Pillow | grey, palette, colour, alpha; 1 to 16 bits a channel |
| .jpg .jpeg .bmp .webp | Pillow | 8 bits; CMYK becomes RGB |
| .gif | Pillow | one frame, a palette |
| .pgm .ppm | NumPy | grey and colour of 8 and 16 bits |
| .tif .tiff | Pillow | one channel of 1 to 32 bits or float32; 8-bit RGB(A); pages of these, as channels |
| .tif .tiff | tifffile (optional) | the rest: many bands, 16-bit or float bands, planar bands, float64, signed 8-bit |
| .jp2 | imagecodecs (optional) | any number of channels of 8 and 16 bits |
| .zarr | smp-predict (optional) | an array, or the finest image of an OME-Zarr group |
| .npy .npz | NumPy | (H, W) or (H, W, C), numbers; an .npz holds one array |
"""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from smp_datasets.errors import DatasetError, UnreadableFileError
from smp_datasets.pixels import Array, Pixels, numbers, suffix_of
from smp_datasets.read_jpeg2000 import read_jpeg2000
from smp_datasets.read_netpbm import read_netpbm
from smp_datasets.read_pillow import read_with_pillow
from smp_datasets.read_tiff import read_tiff
from smp_datasets.whole import read_whole

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".pgm", ".ppm", ".jp2")
EXTENSIONS = (*_PICTURES, ".tif", ".tiff", ".npy", ".npz", ".zarr")

# Folders that are one image.
STORES = (".zarr",)


def read_pixels(path: str | os.PathLike[str], *, as_mask: bool = False, upright: bool = True) -> Pixels:
    """Read one file.

    Args:
        path: the file; its extension says how it is read.
        as_mask: True: values as they are stored, so that they can be classes: palette files give indices and their
            palette, and grey of 1, 2 and 4 bits is not stretched to 8. False: what a viewer shows: palettes give
            their colours.
        upright: turn pictures as their EXIF data say. The orientation tag of a TIFF is always followed.

    Returns:
        The pixels; ``values`` are (H, W, C) in the file's own dtype and range.

    Raises:
        UnreadableFileError: it is missing, damaged, not an image, or of a kind that cannot be read without loss.
        MissingDependencyError: a TIFF needs tifffile or imagecodecs, a .jp2 imagecodecs, Zarr smp-predict.
    """
    name = os.fspath(path)
    suffix = suffix_of(name)
    if suffix not in EXTENSIONS:
        raise UnreadableFileError(f"cannot read {name!r}: expected a file with one of {', '.join(EXTENSIONS)}")
    try:
        if suffix in STORES:
            return read_whole(name)
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise UnreadableFileError(f"cannot read {name!r}: it is no regular file")
        if suffix in (".npy", ".npz"):
            return _read_array(name, suffix)
        if suffix in (".tif", ".tiff"):
            return read_tiff(name, as_mask)
        if suffix == ".jp2":
            return read_jpeg2000(name)
        if suffix in (".pgm", ".ppm"):
            return read_netpbm(name, as_mask)
        return read_with_pillow(name, as_mask, upright)
    except DatasetError:
        raise
    except UnidentifiedImageError:
        raise UnreadableFileError(f"cannot read {name!r}: it is not a picture in a format that Pillow knows") from None
    except Image.DecompressionBombError as error:
        raise UnreadableFileError(
            f"cannot read {name!r}: it has more pixels than Pillow reads unasked ({error}); where you trust your "
            "files, set PIL.Image.MAX_IMAGE_PIXELS = None"
        ) from error
    # Decoders raise OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error and others.
    except Exception as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise UnreadableFileError(f"cannot read {name!r}: {reason}") from error


def _read_array(path: str, suffix: str) -> Pixels:
    # Opened here: NumPy leaves a file open that turns out to be no archive.
    with Path(path).open("rb") as file:
        try:
            values = _only_array(path, file) if suffix == ".npz" else np.load(file, allow_pickle=False)
        except zipfile.BadZipFile as error:
            raise UnreadableFileError(f"cannot read {path!r}: it is not an .npz file") from error
    values = numbers(path, values)
    return Pixels(path, values, f"{values.dtype} array", "grey" if values.shape[2] == 1 else "none")


def _only_array(path: str, file: BinaryIO) -> Array:
    if not zipfile.is_zipfile(file):
        raise zipfile.BadZipFile
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        if len(archive.files) != 1:
            names = ", ".join(archive.files) or "nothing"
            raise UnreadableFileError(
                f"cannot read {path!r}: it holds {names}; expected one array; save the image and the mask apart"
            )
        values: Array = archive[archive.files[0]]
        return values
