"""smp predict on files of every kind: depths, bands, formats of results, names of classes."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.warp
import tifffile
from PIL import Image

import smp_core
from smp_cli.legend import colour_of, read_legend
from smp_predict import Window, open_source, predict

# rasterio multiplies its transforms as affine 3 would rather not.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


def read(path):
    source = open_source(path)
    return source.read(Window(0, 0, *source.shape[:2]))


def write_deep_png(path, values):
    """(H, W, 3) uint16."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def test_four_bands_floats_and_arrays(run, save_model, pixels, tmp_path):
    folder, out = save_model(in_channels=4), tmp_path / "out"
    values = pixels.astype(np.float32) / 255
    tifffile.imwrite(tmp_path / "bytes.tif", pixels, photometric="minisblack", planarconfig="contig", compression="lzw")
    tifffile.imwrite(tmp_path / "floats.tif", values, photometric="minisblack", planarconfig="contig")
    np.save(tmp_path / "deep.npy", pixels.astype(np.uint16) * 257)
    paths = [tmp_path / name for name in ("bytes.tif", "floats.tif", "deep.npy")]
    result = run("predict", *paths, "--model", folder, "--out", out)
    assert result.exit_code == 0, result.output
    expected = predict(smp_core.from_pretrained(folder), pixels, foreground=255)
    assert 0.02 < (expected > 0).mean() < 0.98
    for path in paths:
        agree = (read(out / f"{path.stem}_mask.png")[..., 0] == expected).mean()
        assert agree > 0.999, path
        assert read(out / f"{path.stem}_overlay.png").shape == (37, 53, 3)


def test_a_zarr_array_is_a_picture(run, save_model, pixels, tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr 3 needs Python 3.11")
    path = tmp_path / "in" / "scene.zarr"
    zarr.create_array(str(path), data=np.tile(pixels[..., 0], (3, 3)), chunks=(32, 32))
    for number, arguments in enumerate(((path,), (tmp_path / "in", "--recursive"))):
        out = tmp_path / str(number)
        result = run("predict", *arguments, "--model", save_model(), "--out", out, "--tile", 64, "--format", "zarr")
        assert result.exit_code == 0, result.output
        assert read(out / "scene_mask.zarr").shape == (111, 159, 1)
        assert read(out / "scene_overlay.png").shape == (111, 159, 3)


def test_deep_colour_keeps_its_lower_bytes(run, save_model, pixels, tmp_path):
    deep = pixels[..., :3].astype(np.uint16) // 8 + 40000  # the upper bytes hardly differ
    write_deep_png(tmp_path / "a.png", deep)
    folder = save_model(in_channels=3, classes=3)
    result = run("predict", tmp_path / "a.png", "--model", folder, "--out", tmp_path, "--output", "probabilities")
    assert result.exit_code == 0, result.output
    model = smp_core.from_pretrained(folder)
    found = read(tmp_path / "a_probabilities.tif")
    np.testing.assert_allclose(found, predict(model, deep, output="probabilities"), atol=1e-6)
    shallow = predict(model, (deep >> 8).astype(np.uint8), output="probabilities")
    assert np.abs(found - shallow).max() > 1e-4


def test_pixels_without_a_range(run, save_model, pixels, tmp_path):
    wide = pixels[..., :1].astype(np.int32) * 100
    np.save(tmp_path / "a.npy", wide)
    command = ("predict", tmp_path / "a.npy", "--model", save_model(), "--out", tmp_path)
    result = run(*command)
    assert result.exit_code == 1
    assert "a.npy': the image has pixels of int32, which have no fixed range: give scale= what" in result.output
    result = run(*command, "--scale", 25500)
    assert result.exit_code == 0, result.output
    expected = predict(smp_core.from_pretrained(save_model()), np.ascontiguousarray(pixels[..., :1]), foreground=255)
    assert (read(tmp_path / "a_mask.png")[..., 0] == expected).mean() > 0.999


def test_probabilities(run, save_model, picture, tmp_path):
    for classes, form, maps in ((1, "png", 1), (3, "tif", 3), (3, "npy", 3)):
        out = tmp_path / f"{classes}{form}"
        folder = save_model(classes=classes)
        options = ("--output", "probabilities", "--format", form)
        result = run("predict", picture, "--model", folder, "--out", out, *options)
        assert result.exit_code == 0, result.output
        found = read(out / f"cells_probabilities.{form}")
        assert found.shape == (37, 53, maps)
        plain = run("predict", picture, "--model", folder, "--out", out)
        # The summaries are of the same labels; quantised probabilities of a half may fall on the other side.
        assert plain.stdout.split(": ")[1][:7] == result.stdout.split(": ")[1][:7]
        if classes == 1:
            assert (found.dtype, found.max() > 127) == (np.uint8, True)


def test_a_png_of_several_maps(run, save_model, picture, tmp_path):
    options = ("--output", "probabilities", "--format", "png")
    result = run("predict", picture, "--model", save_model(classes=3), "--out", tmp_path / "out", *options)
    message = "error: a PNG holds the probabilities of one class, the model has 3: choose another --format\n"
    assert (result.exit_code, result.output) == (1, message)
    assert not (tmp_path / "out").exists()


def test_options_reach_the_model(run, save_model, picture, pixels, tmp_path):
    folder = save_model(classes=3)
    options = {
        "tile": 32,
        "overlap": 0.5,
        "context": 16,
        "blend": "cosine",
        "tta": "flips",
        "batch_size": 2,
        "device": "cpu",
    }
    arguments = [item for key, value in options.items() for item in (f"--{key.replace('_', '-')}", value)]
    result = run("predict", picture, "--model", folder, "--out", tmp_path, *arguments)
    assert result.exit_code == 0, result.output
    expected = predict(smp_core.from_pretrained(folder), np.ascontiguousarray(pixels[..., :1]), **options)
    np.testing.assert_array_equal(read(tmp_path / "cells_mask.png")[..., 0], expected)


def test_the_threshold(run, save_model, picture, tmp_path):
    shares = []
    for threshold in (0.2, 0.5, 0.8):
        options = ("--threshold", threshold, "--no-overlays")
        assert run("predict", picture, "--model", save_model(), "--out", tmp_path, *options).exit_code == 0
        shares.append((read(tmp_path / "cells_mask.png") > 0).mean())
    assert shares[0] > shares[1] > shares[2]
    assert not (tmp_path / "cells_overlay.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--output", "masks"), "--output must be one of labels, probabilities, polygons, got 'masks'"),
        (("--format", "bmp"), "--format must be one of auto, png, tif, npy, zarr, got 'bmp'"),
        (("--tta", "d8"), "tta must be one of None, 'flips', 'd4', got 'd8'"),
        (("--overlap", "1"), "overlap must lie in [0, 1), got 1.0"),
        (("--workers", "dask"), "--workers must be ray, or ray:4 for so many processes, got 'dask'"),
        (("--workers", "ray:0"), "--workers must be ray, or ray:4 for so many processes, got 'ray:0'"),
        (("--address", "auto"), "--address is for --workers ray"),
        (("--classes", "a,b,c"), "--classes names 3 classes, the model has 2: a, b, c"),
        (("--classes", "a=red"), "--classes gives 'a' the colour 'red'; expected one as #3366ff"),
        (("--device", "cuda:77"), "device 'cuda:77' cannot be used here: "),
    ],
)
def test_options_that_make_no_sense(run, save_model, picture, tmp_path, options, message):
    result = run("predict", picture, "--model", save_model(), "--out", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert f"error: {message}" in result.output


def test_names_and_colours(run, save_model, picture, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("clear\n\ncloud=#0000ff\nshadow\n", encoding="utf-8")
    for number, text in enumerate(("clear, cloud=#0000ff, shadow", names)):
        out = tmp_path / str(number)
        result = run("predict", picture, "--model", save_model(classes=3), "--out", out, "--classes", text)
        assert result.exit_code == 0, result.output
        assert "clear " in result.stdout or "cloud " in result.stdout
        assert "class " not in result.stdout
        mask, overlay = read(out / "cells_mask.png")[..., 0], read(out / "cells_overlay.png")
        assert {1, 2} & set(np.unique(mask))
        # Somewhere the outline is drawn in the full colour.
        for index, colour in ((1, (0, 0, 255)), (2, colour_of(2))):
            if (mask == index).any():
                assert (overlay == colour).all(axis=2).any()


def test_legends():
    assert read_legend(None, 3).name(2) == "class 2"
    both = read_legend("cell=#ff0000", 1)
    assert (both.names, both.colours) == (("background", "cell"), {1: (255, 0, 0)})
    assert read_legend("tissue,cell", 1).name(0) == "tissue"
    first = read_legend("soil=#102030,crop", 2)
    assert (first.colour(0), first.colour(1)) == ((16, 32, 48), colour_of(1))
    assert read_legend("a=b=#102030,c", 2).names == ("a=b", "c")


def test_a_geotiff_gives_a_geotiff(run, save_model, pixels, tmp_path):
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_300_000)}
    values = np.tile(pixels, (4, 4, 1))[..., 0] | 1
    values[:64, :64] = 0
    path = tmp_path / "scene.tif"
    shape = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", nodata=0, **shape, **place) as file:
        file.write(values, 1)
    options = ("--output", "polygons", "--classes", "cell", "--tile", "32", "--overlap", "0")
    result = run("predict", path, "--model", save_model(), "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert "scene_mask.tif, scene_polygons.geojson, scene_overlay.png: nothing predicted " in result.stdout
    with rasterio.open(tmp_path / "out" / "scene_mask.tif") as file:
        assert (file.crs, file.transform, file.nodata) == (rasterio.CRS.from_epsg(32633), place["transform"], 255)
        mask = file.read(1)
    assert set(np.unique(mask)) == {0, 1, 255}
    assert (mask[:64, :64] == 255).all()
    features = json.loads((tmp_path / "out" / "scene_polygons.geojson").read_text())["features"]
    assert {json.dumps(item["properties"]) for item in features} == {'{"class": 1, "name": "cell"}'}
    shapes = [rasterio.warp.transform_geom("EPSG:4326", place["crs"], item["geometry"]) for item in features]
    burnt = rasterio.features.rasterize(shapes, out_shape=mask.shape, transform=place["transform"], dtype="uint8")
    np.testing.assert_array_equal(burnt, mask == 1)
    overlay = read(tmp_path / "out" / "scene_overlay.png")
    assert (overlay[:64, :64] == overlay[0, 0]).all()  # nothing is drawn where there is nothing


def test_large_pictures_have_smaller_overlays(run, save_model, pixels, tmp_path, monkeypatch):
    monkeypatch.setattr("smp_cli.sketch.LONGEST", 60)
    monkeypatch.setattr("smp_cli.sketch._BYTES", 5000)  # some rows at a time
    large = np.tile(pixels, (5, 5, 1))
    Image.fromarray(large[..., :3]).save(tmp_path / "a.png")
    folder = save_model(in_channels=3, classes=3)
    options = ("--tile", "96", "--batch-size", "1")
    result = run("predict", tmp_path / "a.png", "--model", folder, "--out", tmp_path, *options)
    assert result.exit_code == 0, result.output
    mask, overlay = read(tmp_path / "a_mask.png")[..., 0], read(tmp_path / "a_overlay.png")
    assert mask.shape == (185, 265)
    assert overlay.shape == (37, 53, 3)
    untouched = mask[::5, ::5] == 0
    np.testing.assert_array_equal(overlay[untouched], large[::5, ::5, :3][untouched])
    share = 100 * (mask == 1).mean()
    assert f"class 1 {share:.1f} %" in result.stdout or not share
