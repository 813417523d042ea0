"""Labels as polygons in GeoJSON (RFC 7946, https://www.rfc-editor.org/rfc/rfc7946), through rasterio.

GDAL traces the outlines row by row: memory grows with the number of polygons, not with the pixels.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smp_predict.errors import SinkError
from smp_predict.formats.geotiff import gdal
from smp_predict.formats.needing import needed
from smp_predict.formats.stripes import stripes
from smp_predict.protocols import Result

_WHAT = "polygons"
_EXTRA = "polygons"

# Coordinates are degrees where it is known where on earth the image lies, as RFC 7946 wants.
_DEGREES = "EPSG:4326"
# About a centimetre.
_DIGITS = 7
_AT_ONCE = 1000

Geometry = dict[str, Any]


def write(path: Path, result: Result) -> None:
    """Write a polygon for each connected region of one label, 0 and nodata left out; of several parts at 180 degrees.

    Regions are connected along sides, not corners; their outlines follow the pixels. Each has the property ``class``,
    the label, of multilabel results the index of the map, and ``name``, where the result names its classes. Coordinates
    are longitude and latitude where the image says where it lies; those of its transform where it says no reference
    system; columns and rows from the upper left corner else.

    Raises:
        SinkError: the result holds no labels, or GDAL cannot do it.
        MissingDependencyError: rasterio is needed.
    """
    dtype = result.pixels.dtype
    if dtype.name not in ("uint8", "uint16"):
        raise SinkError(f"polygons are made of labels of uint8 or uint16, got {dtype}; choose output='labels'")
    plain = path.with_name(f"{path.name}.plain.tif")
    with gdal(_EXTRA, _WHAT) as rasterio:
        try:
            _store(rasterio, plain, result)
            with rasterio.open(plain) as file, path.open("w", encoding="utf-8") as target:
                target.write('{"type": "FeatureCollection", "features": [')
                separator = "\n"
                for feature in _features(rasterio, file, result):
                    target.write(separator + json.dumps(feature))
                    separator = ",\n"
                target.write("\n]}\n")
        except rasterio.errors.RasterioError as error:
            raise SinkError(f"GDAL cannot make polygons: {error}") from error
        finally:
            plain.unlink(missing_ok=True)


def _store(rasterio: Any, path: Path, result: Result) -> None:
    height, width, channels = result.pixels.shape
    placed = result.placement.transform
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": channels,
        "dtype": result.pixels.dtype.name,
        "transform": rasterio.Affine(*placed) if placed else None,
        "interleave": "band",
        "bigtiff": "if_safer",
    }
    with rasterio.open(path, "w", **profile) as file:
        for window, block in stripes(result.pixels):
            rows = (window.row, window.row + window.height), (0, width)
            file.write(np.moveaxis(block, 2, 0), window=rows)


def _features(rasterio: Any, file: Any, result: Result) -> Iterator[dict[str, object]]:
    shapes = needed("rasterio.features", _EXTRA, _WHAT).shapes
    for index in range(result.pixels.shape[2]):
        band = rasterio.band(file, index + 1)
        found = shapes(band, mask=band, connectivity=4, transform=file.transform)
        kept = ((geometry, int(value)) for geometry, value in found if value != result.nodata)
        for geometry, value in _placed(kept, result.placement.crs):
            label = value if result.squeezed else index
            properties: dict[str, object] = {"class": label}
            if label in result.names:
                properties["name"] = result.names[label]
            # One that crosses the antimeridian comes as several.
            several = geometry["type"] == "MultiPolygon"
            parts = geometry["coordinates"] if several else [geometry["coordinates"]]
            wound = [[_wound(ring, outer=not number) for number, ring in enumerate(part)] for part in parts]
            yield {
                "type": "Feature",
                "properties": properties,
                "geometry": {"type": geometry["type"], "coordinates": wound if several else wound[0]},
            }


def _placed(found: Iterable[tuple[Geometry, int]], crs: str | None) -> Iterator[tuple[Geometry, int]]:
    if crs is None:
        yield from found
        return
    transform = needed("rasterio.warp", _EXTRA, _WHAT).transform_geom
    items = iter(found)
    while some := list(itertools.islice(items, _AT_ONCE)):
        try:
            geometries = transform(crs, _DEGREES, [geometry for geometry, _ in some], precision=_DIGITS)
        except Exception as error:  # GDAL's, of several kinds
            raise SinkError(
                f"GDAL cannot turn coordinates of the image into degrees, as GeoJSON wants ({error}); write labels as "
                "GeoTIFF, whose reference system may be a local one"
            ) from error
        yield from zip(geometries, (value for _, value in some), strict=True)


def _wound(ring: Sequence[Sequence[float]], *, outer: bool) -> list[list[float]]:
    """A ring in the order that RFC 7946 wants: outer ones counter-clockwise, holes clockwise."""
    points = [[float(x), float(y)] for x, y in ring]
    twice = sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(points))
    return points if (twice > 0) == outer else points[::-1]
