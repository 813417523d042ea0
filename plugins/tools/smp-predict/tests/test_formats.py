"""Files in, files out: the pixels that the field's own libraries see."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from smp_predict import MissingDependencyError, SinkError, SourceError, UnknownFormatError, Window, open_source, predict


def whole(source):
    height, width, _ = source.shape
    return source.read(Window(0, 0, height, width))


def read_in_parts(path, step=77):
    """Everything, read in windows of an odd size."""
    source = open_source(path)
    height, width, channels = source.shape
    found = np.zeros((height, width, channels), source.dtype)
    for row in range(0, height, step):
        for column in range(0, width, step):
            window = Window(row, column, min(step, height - row), min(step, width - column))
            found[window.slices] = source.read(window)
    np.testing.assert_array_equal(found, whole(source))
    return found


def identity(x):
    return x


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", ">u2", "bool"])
def test_npy(tmp_path, image, dtype):
    path = tmp_path / "a.npy"
    for values in (image.astype(dtype), image[..., 0].astype(dtype), np.asfortranarray(image.astype(dtype))):
        np.save(path, values)
        np.testing.assert_array_equal(read_in_parts(path), values.reshape(300, 420, -1))
        assert open_source(path).dtype.isnative


def test_npy_that_are_no_images(tmp_path, image):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(3))
    with pytest.raises(SourceError, match=r"a.npy' has shape \(3,\) and dtype float64; expected numbers of at most"):
        open_source(path)
    np.save(path, image)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(
        SourceError, match=r"a.npy': it ends early, with 872 bytes for an array of shape \(300, 420, 3\)"
    ):
        open_source(path)
    path.write_text("no array")
    with pytest.raises(SourceError, match=r"cannot read '.*a.npy': "):
        open_source(path)


@pytest.mark.parametrize("options", [{"output": "scores"}, {"output": "probabilities", "output_dtype": "uint8"}, {}])
@pytest.mark.parametrize("suffix", [".npy", ".tif", ".zarr", ".ome.zarr"])
def test_every_format_holds_the_same(tmp_path, image, suffix, options):
    if suffix.endswith(".zarr"):
        pytest.importorskip("zarr", reason="zarr 3 needs Python 3.11")
    expected = predict(identity, image, tile=128, **options)
    path = tmp_path / f"a{suffix}"
    for _ in range(2):  # the second replaces the first
        predict(identity, image, path, tile=128, **options)
    source = open_source(path)
    assert source.dtype == expected.dtype
    np.testing.assert_array_equal(whole(source), expected.reshape(300, 420, -1))
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png(tmp_path, image, dtype):
    path = tmp_path / "a.png"
    options = {"output": "probabilities", "output_dtype": dtype, "tile": 128}
    predict(identity, image[..., 0], path, **options)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture), predict(identity, image[..., 0], **options)[..., 0])
    message = "a PNG holds one map of uint8 or uint16, got float32 with 3; choose .tif"
    with pytest.raises(SinkError, match=message):
        predict(identity, image, path, output="scores")


def test_pictures(tmp_path, image):
    for name, values in {"rgb.png": image, "grey.png": image[..., 0], "rgb.bmp": image, "rgb.ppm": image}.items():
        Image.fromarray(values).save(tmp_path / name)
        np.testing.assert_array_equal(whole(open_source(tmp_path / name)), values.reshape(300, 420, -1))
    wide = image[..., 0].astype(np.uint16) * 257
    Image.fromarray(wide).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(whole(open_source(tmp_path / "wide.png"))[..., 0], wide)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"bad.png': it is not a picture in a format that Pillow knows"):
        open_source(tmp_path / "bad.png")


def test_pictures_beyond_pillows_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("L", (50, 50), 7).save(tmp_path / "large.png")
    assert whole(open_source(tmp_path / "large.png")).mean() == 7
    assert Image.MAX_IMAGE_PIXELS == 100


def test_channels_that_a_model_takes(tmp_path, image):
    class Model:
        in_channels = 3

        def __call__(self, x):
            return x

    options = {"tile": 128, "output": "scores"}
    Image.fromarray(image).convert("RGBA").save(tmp_path / "rgba.png")
    np.testing.assert_allclose(predict(Model(), tmp_path / "rgba.png", **options), image / 255, atol=1e-6)
    Image.fromarray(image[..., 0]).save(tmp_path / "grey.png")
    found = predict(Model(), tmp_path / "grey.png", **options)
    np.testing.assert_allclose(found, np.repeat(image[..., :1], 3, axis=2) / 255, atol=1e-6)
    Model.in_channels = 1
    Image.fromarray(image).save(tmp_path / "rgb.png")
    luma = np.asarray(Image.open(tmp_path / "rgb.png").convert("L"))
    np.testing.assert_allclose(predict(Model(), tmp_path / "rgb.png", **options)[..., 0] * 255, luma, atol=1.01)
    Model.in_channels = 5
    with pytest.raises(SourceError, match="the image has 3 channels, the model takes 5; expected as many, or grey or"):
        predict(Model(), tmp_path / "rgb.png", **options)


_TIFFS = {
    "striped": {},
    "lzw": {"compression": "lzw", "rowsperstrip": 16},
    "deflate": {"compression": "zlib", "rowsperstrip": 7},
    "predictor": {"compression": "lzw", "predictor": True, "rowsperstrip": 64},
    "tiled": {"tile": (64, 96), "compression": "zlib"},
    "tiled raw": {"tile": (64, 96)},
    "planar": {"planarconfig": "separate"},
    "planar tiled": {"planarconfig": "separate", "tile": (64, 64), "compression": "lzw"},
    "zstd": {"compression": "zstd", "tile": (128, 128)},
    "big-endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True},
}


@pytest.mark.parametrize("kind", _TIFFS)
@pytest.mark.parametrize(("dtype", "bands"), [("uint8", 3), ("uint16", 4), ("float32", 1), ("int16", 13)])
def test_tiff(tmp_path, kind, dtype, bands):
    values = np.random.default_rng(0).integers(0, 100, (200, 230, bands)).astype(dtype)
    options = dict(_TIFFS[kind])
    stored = values if bands > 1 else values[..., 0]
    if "planarconfig" in options:
        if bands == 1:
            pytest.skip("one band has no planes")
        stored = np.moveaxis(values, 2, 0)
    elif bands > 1:
        options["planarconfig"] = "contig"
    photometric = "rgb" if (bands, dtype) == (3, "uint8") else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric, **options)
    np.testing.assert_array_equal(read_in_parts(tmp_path / "a.tif"), values)


def test_pages_are_channels(tmp_path, image):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for band in range(3):
            file.write(image[..., band], photometric="minisblack", compression="zlib")
    np.testing.assert_array_equal(read_in_parts(path), image)
    with tifffile.TiffWriter(path) as file:
        file.write(image[..., 0], photometric="minisblack")
        file.write(image[:9, :9, 0], photometric="minisblack")
    with pytest.raises(SourceError, match="its 2 pages differ in size or kind; pass one page a file"):
        open_source(path)


def test_tiffs_whose_pixels_are_not_what_is_to_be_seen(tmp_path, image):
    path, picture = tmp_path / "a.tif", Image.fromarray(image)
    picture.quantize(200).save(path)
    found = open_source(path)
    assert found.colours == "rgb"
    np.testing.assert_array_equal(whole(found), np.asarray(picture.quantize(200).convert("RGB")))
    picture.convert("CMYK").save(path)
    np.testing.assert_array_equal(whole(open_source(path)), np.asarray(picture.convert("CMYK").convert("RGB")))
    picture.save(path, tiffinfo={274: 6})  # turned by a quarter
    np.testing.assert_array_equal(whole(open_source(path)), np.rot90(image, -1))


def test_damaged_and_odd_tiffs(tmp_path, image):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(whole(open_source(path))[..., 0], 255 - image[..., 0])
    tifffile.imwrite(path, image, compression="zlib", photometric="rgb")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[0]
    data[offset + 20 : offset + 90] = bytes(70)
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"cannot read '.*a.tif': "):
        whole(open_source(path))
    path.write_bytes(b"II*\0 nothing")
    with pytest.raises(SourceError, match=r"cannot read '.*a.tif': "):
        open_source(path)


@pytest.mark.parametrize("axes", ["yx", "yxc", "cyx", "tczyx"])
def test_zarr(tmp_path, image, axes):
    zarr = pytest.importorskip("zarr")
    values = image if "c" in axes else image[..., :1]
    order = ["yxc".index(name) for name in axes if name in "yxc"]
    stored = (values if "c" in axes else values[..., 0]).transpose(order)
    stored = (
        stored.reshape([1] * (len(axes) - stored.ndim) + list(stored.shape))
        if axes != "tczyx"
        else stored[None, :, None]
    )
    path = tmp_path / "a.zarr"
    if axes in ("yx", "yxc"):
        zarr.create_array(str(path), data=stored, chunks=tuple(min(100, size) for size in stored.shape))
    else:
        group = zarr.open_group(str(path), mode="w")
        group.create_array("0", data=stored)
        names = [{"name": name} for name in axes]
        group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": names, "datasets": [{"path": "0"}]}]}
    np.testing.assert_array_equal(read_in_parts(path), values)


def test_zarr_that_are_no_images(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(str(tmp_path / "a.zarr"), data=np.zeros((2, 3, 4, 5)))
    with pytest.raises(SourceError, match=r"it has shape \(2, 3, 4, 5\) and axes y, x, c; expected \(height, width\)"):
        open_source(tmp_path / "a.zarr")
    zarr.open_group(str(tmp_path / "b.zarr"), mode="w")
    with pytest.raises(SourceError, match="it is a group without an OME-Zarr image; pass the path of an array in it"):
        open_source(tmp_path / "b.zarr")


def test_arrays_in_a_group_and_named_dimensions(tmp_path, image):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(tmp_path / "b.zarr"), mode="w")
    names = ("c", "y", "x")
    group.create_array("inner/first", data=image.transpose(2, 0, 1).copy(), dimension_names=names)
    source = open_source(tmp_path / "b.zarr" / "inner" / "first")
    assert source.shape == image.shape
    np.testing.assert_array_equal(source.read(Window(0, 0, *image.shape[:2])), image)
    with pytest.raises(UnknownFormatError, match="no format can read"):
        open_source(tmp_path / "c.zarr" / "first")


def test_slides(tmp_path, image):
    pytest.importorskip("openslide")
    path = tmp_path / "a.svs"
    # OpenSlide reads any tiled TIFF as a slide.
    tifffile.imwrite(path, image, tile=(64, 64), photometric="rgb", compression="zlib")
    np.testing.assert_array_equal(read_in_parts(path), image)
    (tmp_path / "b.svs").write_bytes(b"no slide")
    with pytest.raises(SourceError, match=r"cannot read '.*b.svs': OpenSlide "):
        open_source(tmp_path / "b.svs")


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("a.png", "smp_datasets", "pictures"),
        ("a.tif", "tifffile rasterio", "geotiff"),
        ("a.zarr", "zarr", "zarr"),
        ("a.svs", "openslide", "slides"),
    ],
)
def test_missing_packages(tmp_path, monkeypatch, name, module, extra):
    for item in module.split():
        monkeypatch.setitem(sys.modules, item, None)
    (tmp_path / name).touch()
    with pytest.raises(MissingDependencyError, match=rf"needs \w+: pip install 'smp-predict\[{extra}\]'"):
        open_source(tmp_path / name)


def test_unknown_names(tmp_path, image):
    with pytest.raises(
        UnknownFormatError, match=r"no format can read 'a.xyz'; expected a name that ends in .bif, .bmp,"
    ):
        open_source("a.xyz")
    with pytest.raises(
        UnknownFormatError, match=r"no format can write '.*a.jpg'; expected a name that ends in .btf, .geojson, .npy"
    ):
        predict(identity, image, tmp_path / "a.jpg")
    with pytest.raises(SourceError, match=r"cannot read '.*gone.npy': it does not exist"):
        open_source(tmp_path / "gone.npy")
