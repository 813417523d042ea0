"""Labels as polygons: they are where the labels are, to the pixel."""

from __future__ import annotations

import itertools
import json
import sys

import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.warp

from smp_predict import ArraySource, MissingDependencyError, Placement, Result, SinkError, predict
from smp_predict.formats.geojson import write

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


@pytest.fixture
def labels():
    """(120, 150) uint8 of 0 to 3, with holes, islands and 255 for nodata."""
    rows, columns = np.mgrid[0:120, 0:150]
    values = (np.floor(2 + 2 * np.sin(rows / 9) * np.cos(columns / 13))).clip(0, 3).astype(np.uint8)
    values[:30, :40] = 255
    return values


def read(path):
    return json.loads(path.read_text())["features"]


def burnt(features, shape, transform=None):
    shapes = [(item["geometry"], item["properties"]["class"]) for item in features]
    extra = {} if transform is None else {"transform": transform}
    return rasterio.features.rasterize(shapes, out_shape=shape, fill=0, dtype="uint8", **extra)


def area(ring):
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring)) / 2


def test_they_are_where_the_labels_are(tmp_path, labels):
    path = tmp_path / "a.geojson"
    write(path, Result(ArraySource(labels), True, Placement(), 255, {1: "crop", 3: "water"}))
    features = read(path)
    np.testing.assert_array_equal(burnt(features, labels.shape), np.where(labels == 255, 0, labels))
    assert {item["properties"]["class"] for item in features} == {1, 2, 3}
    assert {item["properties"].get("name") for item in features} == {"crop", None, "water"}
    rings = [ring for item in features for ring in item["geometry"]["coordinates"]]
    assert len(rings) > len(features)  # there are holes
    assert all(area(item["geometry"]["coordinates"][0]) > 0 for item in features)
    assert all(area(ring) < 0 for item in features for ring in item["geometry"]["coordinates"][1:])
    assert [item.name for item in tmp_path.iterdir()] == ["a.geojson"]


def test_degrees_where_it_is_known_where_on_earth(tmp_path, labels):
    crs, transform = "EPSG:32633", rasterio.Affine(10, 0, 500_000, 0, -10, 5_300_000)
    wkt = rasterio.CRS.from_string(crs).to_wkt()
    path = tmp_path / "a.geojson"
    write(path, Result(ArraySource(labels), True, Placement(wkt, tuple(transform)[:6]), 255))
    features = read(path)
    longitudes = [x for item in features for x, _ in item["geometry"]["coordinates"][0]]
    assert 15 <= min(longitudes) <= max(longitudes) < 15.1  # the zone's meridian
    assert all(area(item["geometry"]["coordinates"][0]) > 0 for item in features)
    for item in features:
        item["geometry"] = rasterio.warp.transform_geom("EPSG:4326", crs, item["geometry"])
    np.testing.assert_array_equal(burnt(features, labels.shape, transform), np.where(labels == 255, 0, labels))


def test_coordinates_of_a_transform_alone(tmp_path, labels):
    path = tmp_path / "a.geojson"
    transform = rasterio.Affine(0.5, 0, 100, 0, -0.5, 200)
    write(path, Result(ArraySource(labels), True, Placement(None, tuple(transform)[:6]), 255))
    np.testing.assert_array_equal(burnt(read(path), labels.shape, transform), np.where(labels == 255, 0, labels))


def test_a_sink_of_multilabel_labels(tmp_path):
    image = np.zeros((40, 50, 2), np.float32)
    image[5:10, 5:20, 0], image[8:30, 8:30, 1] = 1, 1
    path = tmp_path / "a.geojson"
    predict(lambda x: x - 0.5, image, path, mode="multilabel", tile=64)
    first, second = read(path)
    assert [item["properties"] for item in (first, second)] == [{"class": 0}, {"class": 1}]
    assert area(first["geometry"]["coordinates"][0]) == 5 * 15
    assert area(second["geometry"]["coordinates"][0]) == 22 * 22


def test_nothing_found_is_an_empty_collection(tmp_path):
    path = tmp_path / "a.geojson"
    write(path, Result(ArraySource(np.zeros((9, 9), np.uint8)), True, Placement()))
    assert json.loads(path.read_text()) == {"type": "FeatureCollection", "features": []}


def test_scores_have_no_outlines(tmp_path):
    with pytest.raises(SinkError, match=r"polygons are made of labels of uint8 or uint16, got float32; choose output"):
        predict(lambda x: x, np.zeros((9, 9), np.float32), tmp_path / "a.geojson", output="scores", tile=32)


def test_rasterio_is_needed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(MissingDependencyError, match=r"polygons needs rasterio: pip install 'smp-predict\[polygons\]'"):
        predict(lambda x: x, np.zeros((9, 9), np.float32), tmp_path / "a.geojson", tile=32)


def test_across_the_antimeridian(tmp_path):
    """What lies on both sides of 180 degrees has a part on each, as RFC 7946 wants."""
    values = np.zeros((64, 96, 1), np.uint8)
    values[10:50, 5:90] = 255
    path, target = tmp_path / "scene.tif", tmp_path / "found.geojson"
    profile = {"driver": "GTiff", "height": 64, "width": 96, "count": 1, "dtype": "uint8", "crs": "EPSG:32601"}
    with rasterio.open(path, "w", transform=rasterio.Affine(500, 0, 240_000, 0, -500, 5_000_000), **profile) as file:
        file.write(values[..., 0], 1)
    predict(lambda x: x - 0.5, path, target, tile=64)
    (feature,) = json.loads(target.read_text())["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    west, east = sorted(feature["geometry"]["coordinates"], key=lambda part: part[0][0][0])
    assert all(x < -170 for x, _ in west[0])
    assert all(x > 170 for x, _ in east[0])


def test_local_reference_systems_have_no_degrees(tmp_path):
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    path = tmp_path / "site.tif"
    profile = {"driver": "GTiff", "height": 32, "width": 32, "count": 1, "dtype": "uint8", "crs": local}
    with rasterio.open(path, "w", transform=rasterio.Affine(2, 0, 7, 0, -2, 9), **profile) as file:
        file.write(np.full((32, 32), 255, np.uint8), 1)
    with pytest.raises(SinkError, match="cannot turn coordinates of the image into degrees, as GeoJSON wants"):
        predict(lambda x: x - 0.5, path, tmp_path / "found.geojson")
