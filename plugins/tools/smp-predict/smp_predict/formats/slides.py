"""Whole-slide images, through OpenSlide: the finest level, in colour."""

from __future__ import annotations

from typing import Any

import numpy as np

from smp_predict.errors import SourceError
from smp_predict.formats.needing import needed
from smp_predict.protocols import Array, Window


class SlideSource:
    """A slide: (H, W, 3) uint8; white where the scanner looked at nothing.

    Raises:
        SourceError: OpenSlide cannot read it.
    """

    colours = "rgb"
    dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __init__(self, path: str) -> None:
        openslide = needed("openslide", "slides", "reading slides")
        self._path = path
        try:
            self._slide = openslide.OpenSlide(path)
        except openslide.OpenSlideError as error:
            raise SourceError(f"cannot read {path!r}: OpenSlide says {error}") from error
        self._error = openslide.OpenSlideError
        width, height = self._slide.dimensions
        self.shape = (height, width, 3)

    def read(self, window: Window) -> Array:
        """The pixels of a window.

        Raises:
            SourceError: the slide is damaged there.
        """
        try:
            region = self._slide.read_region((window.column, window.row), 0, (window.width, window.height))
        except self._error as error:
            raise SourceError(f"cannot read {self._path!r}: OpenSlide says {error}") from error
        pixels = np.asarray(region)
        colours: Array = pixels[..., :3].copy()
        colours[pixels[..., 3] == 0] = 255
        return colours
