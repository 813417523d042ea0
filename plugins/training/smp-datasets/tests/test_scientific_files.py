"""GeoTIFF, Zarr and JPEG 2000 as images of a folder, and compressed TIFF of several bands."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile

from smp_datasets import ClassIndices, FolderDataset, MissingDependencyError, UnreadableFileError, read_pixels

rasterio = pytest.importorskip("rasterio")

pytestmark = [
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]


@pytest.fixture
def values():
    return np.random.default_rng(0).integers(0, 60000, (40, 50, 5), dtype=np.uint16)


def write(path, values, driver, **options):
    shape = {"height": values.shape[0], "width": values.shape[1], "count": values.shape[2], "dtype": values.dtype.name}
    with rasterio.open(path, "w", driver=driver, **shape, **options) as file:
        file.write(np.moveaxis(values, 2, 0))


def test_a_folder_of_them(tmp_path, values):
    zarr = pytest.importorskip("zarr", reason="zarr 3 needs Python 3.11")
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_300_000)}
    write(images / "a.tif", values, "GTiff", compress="lzw", tiled=True, blockxsize=16, blockysize=16, **place)
    zarr.create_array(str(images / "b.zarr"), data=values, chunks=(16, 16, 5))
    write(images / "c.jp2", values, "JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    for name in "abc":
        np.save(masks / f"{name}.npy", (values[..., 0] % 3).astype(np.uint8))
    data = FolderDataset(images, masks, ClassIndices(3))
    assert data.names == ["a", "b", "c"]
    for item in data:
        np.testing.assert_array_equal(item["image"], values)
    data.check()


@pytest.mark.parametrize("compression", ["lzw", "zstd", "deflate"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_compressed_tiff_of_several_bands(tmp_path, values, compression, planes):
    path = tmp_path / "a.tif"
    stored = values if planes == "contig" else np.ascontiguousarray(np.moveaxis(values, 2, 0))
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planes, compression=compression)
    np.testing.assert_array_equal(read_pixels(path).values, values)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_jpeg_2000(tmp_path, values, channels, dtype):
    stored = np.ascontiguousarray(values[..., :channels]).astype(dtype)
    write(tmp_path / "a.jp2", stored, "JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", YCBCR420="NO")
    pixels = read_pixels(tmp_path / "a.jp2")
    np.testing.assert_array_equal(pixels.values, stored)
    assert pixels.values.dtype == dtype
    assert pixels.colours == {1: "grey", 3: "rgb", 4: "none"}[channels]


def test_damaged_files(tmp_path):
    (tmp_path / "a.jp2").write_bytes(b"no picture")
    (tmp_path / "b.zarr").mkdir()
    for name in ("a.jp2", "b.zarr"):
        with pytest.raises(UnreadableFileError, match=rf"cannot read '.*{name}': ."):
            read_pixels(tmp_path / name)


_WITHOUT = """
import sys
sys.modules["imagecodecs"] = None
import smp_datasets
try:
    smp_datasets.read_pixels(sys.argv[1])
except smp_datasets.MissingDependencyError as error:
    print(error)
"""


@pytest.mark.parametrize("suffix", [".tif", ".jp2"])
def test_imagecodecs_is_needed(tmp_path, values, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig", compression="lzw")
    else:
        write(path, values, "JP2OpenJPEG")
    done = subprocess.run([sys.executable, "-c", _WITHOUT, path], capture_output=True, text=True, check=False)
    assert f"cannot read {str(path)!r}: " in done.stdout, done.stderr
    assert "needs imagecodecs; pip install imagecodecs" in done.stdout


def test_smp_predict_is_needed_for_zarr(tmp_path, monkeypatch):
    (tmp_path / "a.zarr").mkdir()
    monkeypatch.setitem(sys.modules, "smp_predict", None)
    with pytest.raises(MissingDependencyError, match=r"needs smp-predict: pip install 'smp-datasets\[windows\]'"):
        read_pixels(tmp_path / "a.zarr")
