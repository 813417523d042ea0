"""TIFF of any depth and number of bands, through tifffile; files that are placed on earth, through rasterio."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from smp_predict.arrays import check_pixels
from smp_predict.errors import MissingDependencyError, SourceError
from smp_predict.formats.needing import needed
from smp_predict.protocols import Array, Result, Source, Window

_TILE = 512
# Tags that say where on earth an image lies: the scale of pixels, tie points, a transform, keys, coefficients.
_PLACED = (33550, 33922, 34264, 34735, 50844)
_ORIENTATION = 274
# The value of the tag PlanarConfiguration.
_SEPARATE = 2
# Beyond this, offsets need 64 bits.
_CLASSIC = 2**32 - 2**25


def open_tiff(path: str) -> Source:
    """Open a TIFF: with rasterio where it says where on earth it lies, else with tifffile, else with rasterio.

    What has a palette, colours for print, or is turned is read as a picture, as a whole.

    Raises:
        SourceError: it is damaged, or its pages do not make one image.
        MissingDependencyError: neither is installed; or it is a GeoTIFF and rasterio is not, so that it would be lost
            where the result lies.
    """
    try:
        tifffile = needed("tifffile", "tiff", "reading TIFF files")
    except MissingDependencyError:
        from smp_predict.formats.geotiff import GeoTiffSource

        return GeoTiffSource(path)
    try:
        file = tifffile.TiffFile(path)
    except Exception as error:  # tifffile raises errors of its own and of the standard library
        raise SourceError(f"cannot read {path!r}: {str(error) or type(error).__name__}") from error
    if file.pages and any(tag in file.pages[0].tags for tag in _PLACED):
        file.close()
        from smp_predict.formats.geotiff import GeoTiffSource

        return GeoTiffSource(path)
    if file.pages and _is_picture(file.pages[0]):
        file.close()
        from smp_predict.formats.pictures import open_picture

        return open_picture(path)
    return TiffSource(path, file)


def _is_picture(page: Any) -> bool:
    """Whether what is stored is not what is to be seen: a palette, colours for print, or turned."""
    photometric = page.photometric.name if page.photometric is not None else ""
    orientation = page.tags.valueof(_ORIENTATION, 1)
    return photometric in ("PALETTE", "SEPARATED", "CIELAB", "ICCLAB", "ITULAB") or orientation not in (0, 1)


class TiffSource:
    """Pages of one size, whose samples are the channels.

    Raises:
        SourceError: pages of several sizes, volumes.
        MissingDependencyError: the compression needs imagecodecs.
    """

    def __init__(self, path: str, file: Any) -> None:
        self._path, self._file = path, file
        self._pages = _pages(path, file)
        first = self._pages[0]
        self._samples = int(first.samplesperpixel)
        shape = (int(first.imagelength), int(first.imagewidth), self._samples * len(self._pages))
        check_pixels(shape, first.dtype, repr(path))
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(first.dtype).newbyteorder("=")
        # Of files with several pages nobody knows what the bands are.
        names = {"MINISBLACK": "grey", "MINISWHITE": "grey", "RGB": "rgb", "YCBCR": "rgb"}
        self.colours = names.get(first.photometric.name, "none") if len(self._pages) == 1 else "none"
        if self.colours == "grey" and self._samples > 2:
            self.colours = "none"
        self._inverted = first.photometric.name == "MINISWHITE" and self.dtype.kind in "ub"
        self._decoded: dict[tuple[int, int], Array | None] = {}

    def read(self, window: Window) -> Array:
        """The pixels of a window."""
        pixels = np.zeros((window.height, window.width, self.shape[2]), self.dtype)
        decoded: dict[tuple[int, int], Array | None] = {}
        for number, page in enumerate(self._pages):
            channels = pixels[..., number * self._samples : (number + 1) * self._samples]
            if page.is_memmappable:
                self._read_plain(page, window, channels)
                continue
            for index, row, column, sample in _segments(page, window):
                key = (number, index)
                decoded[key] = self._decoded[key] if key in self._decoded else self._decode(page, index)
                _paste(
                    decoded[key],
                    row,
                    column,
                    channels if sample is None else channels[..., sample : sample + 1],
                    window,
                )
        # The next window shares rows with this one; older parts are not needed again.
        self._decoded = decoded
        if self._inverted:
            pixels = ~pixels
        return pixels

    def _read_plain(self, page: Any, window: Window, channels: Array) -> None:
        """From a page whose pixels lie in the file as they are."""
        planar = _is_planar(page)
        samples = 1 if planar else self._samples
        stored = np.dtype(page.dtype).newbyteorder(self._file.byteorder)
        handle = self._file.filehandle
        for plane in range(self._samples // samples):
            for offset in range(window.height):
                row = plane * self.shape[0] + window.row + offset
                handle.seek(page.dataoffsets[0] + (row * self.shape[1] + window.column) * samples * stored.itemsize)
                line = handle.read(window.width * samples * stored.itemsize)
                if len(line) != window.width * samples * stored.itemsize:
                    raise SourceError(f"cannot read {self._path!r}: it ends early, in row {window.row + offset}")
                values = np.frombuffer(line, stored).reshape(window.width, samples)
                channels[offset, :, plane * samples : (plane + 1) * samples] = values

    def _decode(self, page: Any, index: int) -> Array | None:
        """One strip or tile: (h, w, samples); None: the file leaves it out."""
        count = page.databytecounts[index]
        if not count:
            return None
        self._file.filehandle.seek(page.dataoffsets[index])
        data = self._file.filehandle.read(count)
        try:
            values = page.decode(data, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader)[0]
        except Exception as error:  # decoders raise what they like
            if "imagecodecs" in str(error):
                raise MissingDependencyError(
                    f"{self._path!r} is compressed in a way that needs imagecodecs: pip install 'smp-predict[tiff]' "
                    f"({error})"
                ) from error
            raise SourceError(f"cannot read {self._path!r}: {str(error) or type(error).__name__}") from error
        return None if values is None else np.asarray(values)[0]

    def __del__(self) -> None:
        self._file.close()


def _pages(path: str, file: Any) -> list[Any]:
    pages = [page for page in file.pages if not page.is_reduced]
    kinds = {(page.imagelength, page.imagewidth, page.samplesperpixel, page.dtype) for page in pages}
    if len(kinds) != 1:
        raise SourceError(f"cannot read {path!r}: its {len(pages)} pages differ in size or kind; pass one page a file")
    if pages[0].imagedepth != 1:
        raise SourceError(
            f"cannot read {path!r}: it is a volume of {pages[0].imagedepth} planes; pass one plane a file"
        )
    return pages


def _segments(page: Any, window: Window) -> Iterator[tuple[int, int, int, int | None]]:
    """The strips or tiles that a window touches: index, first row, first column; the sample where planes are apart."""
    tall = int(page.tilelength if page.is_tiled else page.rowsperstrip)
    wide = int(page.tilewidth if page.is_tiled else page.imagewidth)
    tall = min(tall, int(page.imagelength)) if not page.is_tiled else tall
    down, across = math.ceil(page.imagelength / tall), math.ceil(page.imagewidth / wide)
    planar = _is_planar(page)
    for sample in range(page.samplesperpixel if planar else 1):
        for i in range(window.row // tall, math.ceil((window.row + window.height) / tall)):
            for j in range(window.column // wide, math.ceil((window.column + window.width) / wide)):
                yield (sample * down + i) * across + j, i * tall, j * wide, sample if planar else None


def _is_planar(page: Any) -> bool:
    """Whether each sample has a plane of its own."""
    return page.samplesperpixel > 1 and page.planarconfig is not None and int(page.planarconfig) == _SEPARATE


def _paste(part: Array | None, row: int, column: int, channels: Array, window: Window) -> None:
    if part is None:
        return
    top, left = max(row, window.row), max(column, window.column)
    bottom = min(row + part.shape[0], window.row + window.height)
    right = min(column + part.shape[1], window.column + window.width)
    if bottom > top and right > left:
        channels[top - window.row : bottom - window.row, left - window.column : right - window.column] = part[
            top - row : bottom - row, left - column : right - column
        ]


def write(path: Path, result: Result) -> None:
    """Write a tiled, compressed TIFF; a COG where it is known where on earth the image lies."""
    if result.placement.crs is not None or result.placement.transform is not None:
        from smp_predict.formats.geotiff import write as write_geotiff

        write_geotiff(path, result)
        return
    tifffile = needed("tifffile", "tiff", "writing TIFF files")
    height, width, channels = result.pixels.shape
    dtype = result.pixels.dtype
    tifffile.imwrite(
        path,
        _tiles(result.pixels),
        shape=(height, width, channels) if channels > 1 else (height, width),
        dtype=dtype,
        photometric="minisblack",
        planarconfig="contig" if channels > 1 else None,
        tile=(_TILE, _TILE),
        compression="zlib",
        bigtiff=height * width * channels * dtype.itemsize > _CLASSIC,
        metadata=None,
        software="smp-predict",
        maxworkers=1,
    )


def _tiles(pixels: Source) -> Iterator[Array]:
    height, width, channels = pixels.shape
    for row in range(0, height, _TILE):
        for column in range(0, width, _TILE):
            window = Window(row, column, min(_TILE, height - row), min(_TILE, width - column))
            tile = np.zeros((_TILE, _TILE, channels), pixels.dtype)
            tile[: window.height, : window.width] = pixels.read(window)
            yield tile if channels > 1 else tile[..., 0]
