"""GeoTIFF and cloud-optimised GeoTIFF, through rasterio: CRS, transform, nodata, compressed tiles, overviews."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from smp_predict.arrays import check_pixels
from smp_predict.errors import SinkError, SourceError
from smp_predict.formats.needing import needed
from smp_predict.formats.stripes import stripes
from smp_predict.protocols import Array, Placement, Result, Window

_BLOCK = 512
# GDAL would keep a twentieth of the machine's memory full of blocks that nobody asks for again.
_CACHE_BYTES = 64 << 20
_WHAT = "GeoTIFF files"


@contextmanager
def gdal(extra: str = "geotiff", what: str = _WHAT) -> Iterator[Any]:
    """rasterio, with a small cache and no warnings of files that do not say where they lie.

    Raises:
        MissingDependencyError: it is not installed; names the extra, and what needs it.
    """
    rasterio = needed("rasterio", extra, what)
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES), warnings.catch_warnings():
        # That a file does not say where it lies is no news to whoever asks.
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield rasterio


class GeoTiffSource:
    """A file that rasterio reads: its bands are the channels.

    Attributes:
        placement: CRS, transform or ground control points, and nodata.
        missing: what masks and alpha bands leave out, of a window; None: there are none.
        colours: ``"rgb"`` or ``"grey"`` where the file says so of its first bands.

    Raises:
        SourceError: it cannot be read, bands differ in dtype, or hold complex numbers.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with gdal() as rasterio:
            try:
                self._file = rasterio.open(path)
            except rasterio.errors.RasterioIOError as error:
                raise SourceError(f"cannot read {path!r}: {error}") from error
        if len(set(self._file.dtypes)) != 1:
            raise SourceError(f"cannot read {path!r}: its bands differ in dtype: {', '.join(self._file.dtypes)}")
        self.shape: tuple[int, int, int] = (self._file.height, self._file.width, self._file.count)
        self.dtype: np.dtype[Any] = np.dtype(self._file.dtypes[0])
        check_pixels(self.shape, self.dtype, repr(path))
        self.placement = _placement(self._file)
        masked = any(item.name in ("per_dataset", "alpha") for band in self._file.mask_flag_enums for item in band)
        self.missing: Callable[[Window], Array] | None = self._missing if masked else None
        names = [item.name for item in self._file.colorinterp]
        self.colours = {"red": "rgb", "gray": "grey"}.get(names[0], "none")
        if self.colours == "grey" and names[1:2] not in ([], ["alpha"]):
            self.colours = "none"

    def read(self, window: Window) -> Array:
        """The pixels of a window.

        Raises:
            SourceError: the file is damaged there.
        """
        return np.ascontiguousarray(np.moveaxis(self._of(window, self._file.read), 0, 2))

    def _missing(self, window: Window) -> Array:
        return np.asarray(self._of(window, self._file.dataset_mask) == 0)

    def _of(self, window: Window, read: Callable[..., Array]) -> Array:
        place = (window.row, window.row + window.height), (window.column, window.column + window.width)
        with gdal() as rasterio:
            try:
                found: Array = read(window=place)
            except rasterio.errors.RasterioIOError as error:
                raise SourceError(f"cannot read {self._path!r}: {error}") from error
        return found

    def __del__(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()


def _placement(file: Any) -> Placement:
    transform = None if file.transform.is_identity else tuple(file.transform)[:6]
    points, points_crs = ((), None) if transform else file.gcps
    crs = file.crs or points_crs
    return Placement(
        crs.to_wkt() if crs else None,
        transform,
        file.nodata,
        tuple((point.row, point.col, point.x, point.y, point.z or 0.0) for point in points),
    )


def write(path: Path, result: Result) -> None:
    """Write a cloud-optimised GeoTIFF: blocks of 512, deflate, overviews; CRS and transform of the image.

    Raises:
        SinkError: GDAL cannot write it.
    """
    height, width, channels = result.pixels.shape
    dtype = result.pixels.dtype
    if dtype.name == "float16":
        raise SinkError("a GeoTIFF holds no float16; choose output_dtype='float32' or 'uint16'")
    plain = path.with_name(f"{path.name}.plain")
    with gdal() as rasterio:
        placement = result.placement
        profile = {
            "driver": "GTiff",
            "height": height,
            "width": width,
            "count": channels,
            "dtype": dtype.name,
            "crs": placement.crs,
            "transform": rasterio.Affine(*placement.transform) if placement.transform else None,
            "nodata": result.nodata,
            "tiled": True,
            "blockxsize": _BLOCK,
            "blockysize": _BLOCK,
            "compress": "deflate",
            "bigtiff": "if_safer",
            "interleave": "pixel",
        }
        try:
            with rasterio.open(plain, "w", **profile) as file:
                if placement.points:
                    points = rasterio.control.GroundControlPoint
                    file.gcps = [points(*point) for point in placement.points], file.crs
                for window, block in stripes(result.pixels, _BLOCK):
                    rows = (window.row, window.row + window.height), (0, width)
                    file.write(np.moveaxis(block, 2, 0), window=rows)
            # Overviews of classes must be classes, not means of them.
            resampling = "average" if dtype.kind == "f" else "nearest"
            copy = needed("rasterio.shutil", "geotiff", _WHAT).copy
            options = {"compress": "deflate", "blocksize": _BLOCK, "bigtiff": "if_safer", "overviews": "auto"}
            copy(plain, path, driver="COG", overview_resampling=resampling, **options)
        except rasterio.errors.RasterioError as error:
            raise SinkError(f"GDAL cannot write the result: {error}") from error
        finally:
            plain.unlink(missing_ok=True)
