"""Pictures that Pillow reads. They are decoded as a whole: memory grows with them, by their own bytes."""

from __future__ import annotations

import threading
from typing import Any

from smp_predict.arrays import ArraySource
from smp_predict.errors import SourceError
from smp_predict.formats.needing import needed

# Pillow refuses pictures beyond 179 megapixels, for servers that open what strangers send. Here somebody names a file,
# and wants a large one read; the limit is the program's, so it is put back, and one thread at a time moves it.
_MOST_PIXELS = 1 << 32
_LOCK = threading.Lock()


class PictureSource(ArraySource):
    """A decoded picture.

    Attributes:
        colours: ``"grey"``, ``"rgb"`` or ``"none"``: what the first channels are; one after these is alpha.
    """

    def __init__(self, values: Any, name: str, colours: str) -> None:
        super().__init__(values, name)
        self.colours = colours


def open_picture(path: str) -> PictureSource:
    """Decode a picture; (H, W, C) in the file's own depth, upright as its EXIF data say.

    Raises:
        SourceError: it is damaged, or of a kind that cannot be read without loss.
        MissingDependencyError: smp-datasets or Pillow is needed.
    """
    images: Any = needed("PIL.Image", "pictures", "reading pictures")
    datasets: Any = needed("smp_datasets", "pictures", "reading pictures")
    with _LOCK:
        limit = images.MAX_IMAGE_PIXELS
        images.MAX_IMAGE_PIXELS = _MOST_PIXELS
        try:
            pixels = datasets.read_pixels(path)
        except datasets.UnreadableFileError as error:
            raise SourceError(str(error)) from error
        finally:
            images.MAX_IMAGE_PIXELS = limit
    return PictureSource(pixels.values, repr(path), pixels.colours)
