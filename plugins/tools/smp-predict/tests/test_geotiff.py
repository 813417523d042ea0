"""A GeoTIFF in, a cloud-optimised GeoTIFF out, where it was."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rio_cogeo import cog_validate
from rio_cogeo.scripts.cli import cogeo

from smp_predict import MissingDependencyError, SinkError, SourceError, open_source, predict

# rasterio multiplies its transforms as affine 3 would rather not.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

_PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_300_000)}


def scores(x):
    return x[:, :3]


@pytest.fixture
def scene(tmp_path):
    """13 bands of uint16, 700x900, of which a corner is nodata."""
    values = np.random.default_rng(0).integers(1, 10_000, (13, 700, 900)).astype(np.uint16)
    values[:, :256, :256] = 0
    path = tmp_path / "scene.tif"
    profile = {"driver": "GTiff", "height": 700, "width": 900, "count": 13, "dtype": "uint16", "nodata": 0, **_PLACE}
    with rasterio.open(path, "w", tiled=True, compress="lzw", **profile) as file:
        file.write(values)
    return path, np.moveaxis(values, 0, 2)


def test_a_cog_in_the_same_place(tmp_path, scene):
    path, values = scene
    target = tmp_path / "labels.tif"
    predict(scores, path, target, tile=128, overlap=0)
    valid, errors, _ = cog_validate(target)
    assert (valid, errors) == (True, [])
    with rasterio.open(target) as file, rasterio.open(path) as original:
        assert file.crs == original.crs
        assert file.transform == original.transform
        assert file.bounds == original.bounds
        assert (file.count, file.dtypes[0], file.nodata) == (1, "uint8", 255)
        assert file.overviews(1)
        labels = file.read(1)
    expected = values[..., :3].argmax(axis=2)
    expected[:256, :256] = 255
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(labels, predict(scores, values, tile=128, overlap=0, nodata=0))


def test_13_bands_in_13_maps_out(tmp_path, scene):
    """As ``rio cogeo validate --strict`` sees it; and each pixel where it was."""
    path, values = scene
    target = tmp_path / "maps.tif"
    predict(lambda x: x, path, target, tile=256, output="scores", context=32)
    told = CliRunner().invoke(cogeo, ["validate", "--strict", str(target)])
    assert told.output == f"{target} is a valid cloud optimized GeoTIFF\n"
    with rasterio.open(target) as file, rasterio.open(path) as original:
        assert (file.crs, file.transform, file.shape) == (original.crs, original.transform, original.shape)
        assert (file.count, file.dtypes[0]) == (13, "float32")
        maps = np.moveaxis(file.read(), 0, 2)
    assert np.isnan(maps[:256, :256]).all()
    there = (values != 0).all(axis=2)
    np.testing.assert_allclose(maps[there], values[there] / np.float32(65535), atol=1e-6)


def test_13_bands_from_zarr_to_zarr(tmp_path, scene):
    zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 needs Python 3.11")
    path, values = scene
    zarr.create_array(str(tmp_path / "scene.zarr"), data=values, chunks=(256, 256, 13))
    options = {"tile": 256, "nodata": 0}
    predict(scores, tmp_path / "scene.zarr", tmp_path / "labels.zarr", **options)
    found = zarr.open_array(str(tmp_path / "labels.zarr"), mode="r")
    assert (found.shape, found.dtype, found.chunks) == ((700, 900), np.uint8, (512, 512))
    np.testing.assert_array_equal(found[:], predict(scores, path, **options))


def test_maps_and_half_the_resolution(tmp_path, scene):
    path, _ = scene
    target = tmp_path / "scores.tif"
    predict(lambda x: x[:, :2, ::2, ::2], path, target, tile=128, output="scores", nodata=None)
    with rasterio.open(target) as file:
        assert file.shape == (350, 450)
        assert file.count == 2
        assert file.transform == rasterio.Affine(20, 0, 500_000, 0, -20, 5_300_000)
    source = open_source(target)
    assert (source.shape, source.dtype) == ((350, 450, 2), np.float32)


def test_without_rasterio_the_place_is_not_lost_in_silence(tmp_path, scene, monkeypatch):
    path, _ = scene
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(
        MissingDependencyError, match=r"GeoTIFF files needs rasterio: pip install 'smp-predict\[geotiff\]'"
    ):
        open_source(path)


def test_what_a_geotiff_cannot_hold(tmp_path, scene):
    path, _ = scene
    with pytest.raises(SinkError, match="a GeoTIFF holds no float16; choose output_dtype='float32' or 'uint16'"):
        predict(scores, path, tmp_path / "a.tif", tile=256, output="scores", output_dtype="float16")


def test_a_damaged_geotiff(tmp_path, scene):
    path, _ = scene
    data = path.read_bytes()
    path.write_bytes(data[:4000] + bytes(len(data) - 4000))
    with pytest.raises(SourceError, match=r"cannot read '.*scene.tif': "):
        predict(scores, path, tile=256)


@pytest.mark.parametrize("kind", ["internal", "beside", "alpha"])
@pytest.mark.parametrize("nodata", ["source", None])
def test_masks_of_the_file(tmp_path, kind, nodata):
    """What a mask or an alpha band leaves out is no image, and is nodata in the result."""
    values = np.random.default_rng(0).integers(0, 255, (4, 300, 340)).astype(np.uint8)
    left_out = np.zeros((300, 340), bool)
    left_out[:, :150], left_out[200, 200] = True, True
    path, target = tmp_path / "scene.tif", tmp_path / "labels.tif"
    profile = {"driver": "GTiff", "height": 300, "width": 340, "count": 4, "dtype": "uint8", **_PLACE}
    shown = np.where(left_out, 0, 255).astype(np.uint8)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=kind == "internal"), rasterio.open(path, "w", **profile) as file:
        if kind == "alpha":
            values[3] = shown
            names = ("red", "green", "blue", "alpha")
            file.colorinterp = [rasterio.enums.ColorInterp[name] for name in names]
        file.write(values)
        if kind != "alpha":
            file.write_mask(shown)
    calls = []

    def model(x):
        calls.append(len(x))
        return x[:, :3]

    predict(model, path, target, tile=64, overlap=0, nodata=nodata, batch_size=1)
    expected = values[:3].argmax(axis=0)
    if nodata == "source":
        expected[left_out] = 255
        assert len(calls) - 1 == 5 * (6 - 2)  # tiles of nothing else are skipped
    with rasterio.open(target) as file:
        assert file.nodata == (255 if nodata == "source" else None)
        np.testing.assert_array_equal(file.read(1), expected)


def test_floats_that_are_none_beside_a_declared_value(tmp_path):
    values = np.random.default_rng(0).random((3, 90, 100), np.float32)
    values[:, :20], values[0, 50:60] = -9999, np.nan
    path = tmp_path / "scene.tif"
    profile = {"driver": "GTiff", "height": 90, "width": 100, "count": 3, "dtype": "float32", "nodata": -9999}
    with rasterio.open(path, "w", **profile, **_PLACE) as file:
        file.write(values)
    labels = predict(scores, path, tile=64)
    expected = np.zeros((90, 100), bool)
    expected[:20], expected[50:60] = True, True
    np.testing.assert_array_equal(labels == 255, expected)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_places_without_a_reference_system_and_control_points(tmp_path):
    values = np.random.default_rng(0).random((1, 64, 96), np.float32)
    profile = {"driver": "GTiff", "height": 64, "width": 96, "count": 1, "dtype": "float32"}
    with rasterio.open(tmp_path / "local.tif", "w", transform=_PLACE["transform"], **profile) as file:
        file.write(values)
    point = rasterio.control.GroundControlPoint
    points = [point(0, 0, 12.0, 48.0, 3.0), point(0, 96, 12.1, 48.0, 0.0), point(64, 0, 12.0, 47.9, 0.0)]
    with rasterio.open(tmp_path / "radar.tif", "w", **profile) as file:
        file.write(values)
        file.gcps = points, rasterio.crs.CRS.from_epsg(4326)
    for name in ("local", "radar"):
        predict(lambda x: x[..., ::2, ::2], tmp_path / f"{name}.tif", tmp_path / f"{name}_labels.tif", tile=64)
    with rasterio.open(tmp_path / "local_labels.tif") as file:
        assert (file.crs, file.transform) == (None, rasterio.Affine(20, 0, 500_000, 0, -20, 5_300_000))
    with rasterio.open(tmp_path / "radar_labels.tif") as file:
        found, crs = file.gcps
        assert crs == rasterio.crs.CRS.from_epsg(4326)
        placed = [(item.row, item.col, item.x, item.y, item.z) for item in found]
        assert placed == [(item.row / 2, item.col / 2, item.x, item.y, item.z) for item in points]
