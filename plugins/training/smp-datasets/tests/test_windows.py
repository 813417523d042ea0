"""Windows of large images: where they lie, what they hold, how often each class comes, and that little is read."""

from __future__ import annotations

import pickle
import re
import sys
from collections import Counter

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch.utils.data import DataLoader

from smp_datasets import (
    Binary,
    ClassIndices,
    ColourMap,
    LabelError,
    MissingDependencyError,
    OptionError,
    SizeMismatchError,
    UnreadableFileError,
    WindowDataset,
)

rasterio = pytest.importorskip("rasterio")

# rasterio multiplies its transforms as affine 3 would rather not.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

LABELS = ClassIndices(3)


def refused(error, message):
    return pytest.raises(error, match=re.escape(message))


@pytest.fixture
def scene():
    """(300, 410, 5) uint16, every pixel another, and a mask whose class 2 is rare and class 1 rarer."""
    rows, columns = np.mgrid[0:300, 0:410]
    image = np.stack([(rows * 410 + columns + band * 7) % 60000 for band in range(5)], axis=2).astype(np.uint16)
    mask = np.zeros((300, 410), np.uint8)
    mask[200:230, 300:360] = 2
    mask[5:9, 3:7] = 1
    return image, mask


class Counted:
    """A source that counts the pixels that are read of it."""

    def __init__(self, values):
        self.values, self.read_pixels = values if values.ndim == 3 else values[..., None], 0
        self.shape, self.dtype = self.values.shape, values.dtype

    def read(self, window):
        self.read_pixels += window.height * window.width
        return self.values[window.slices].copy()


def test_a_grid_covers_the_image(scene):
    image, mask = scene
    data = WindowDataset([image, image[:130]], [mask, mask[:130]], LABELS, (128, 100), stride=(90, 100))
    covered = [np.zeros(mask.shape, int), np.zeros((130, 410), int)]
    for index in range(len(data)):
        number, row, column = data.place(index)
        item = data[index]
        place = slice(row, row + 128), slice(column, column + 100)
        np.testing.assert_array_equal(item["image"], image[place])
        np.testing.assert_array_equal(item["mask"], mask[place])
        covered[number][place] += 1
    assert all((item > 0).all() for item in covered)
    assert len(data) == 3 * 5 + 2 * 5
    assert len({data.place(index) for index in range(len(data))}) == len(data)
    assert data.place(-1) == data.place(len(data) - 1) == (1, 2, 310)
    for index in (len(data), -len(data) - 1):
        with refused(IndexError, f"item {index} of {len(data)}"):
            data[index]


def test_random_windows_are_reproducible(scene):
    image, mask = scene
    make = lambda seed=3: WindowDataset([image], [mask], LABELS, 32, count=40, seed=seed)  # noqa: E731
    places = [make().place(index) for index in range(40)]
    again = make()
    assert [again.place(index) for index in reversed(range(40))] == places[::-1]
    assert len(set(places)) > 35
    assert [make(seed=4).place(index) for index in range(40)] != places
    again.set_epoch(1)
    other = [again.place(index) for index in range(40)]
    assert len(set(other) & set(places)) < 5
    again.set_epoch(0)
    assert [again.place(index) for index in range(40)] == places


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_that_are_kept_are_told_of_a_new_epoch(tmp_path, scene, method):
    files = [tmp_path / "image.npy", tmp_path / "mask.npy"]
    if method == "fork" and sys.platform != "linux":
        pytest.skip("forking is Linux's")
    for file, values in zip(files, scene, strict=True):
        np.save(file, values)
    data = WindowDataset([files[0]], [files[1]], LABELS, 32, count=6)
    options = {"batch_size": None, "num_workers": 1, "persistent_workers": True, "multiprocessing_context": method}
    loader = DataLoader(data, **options)
    epochs = []
    for epoch in (0, 1, 0):
        data.set_epoch(epoch)
        epochs.append(np.stack([item["image"] for item in loader]))
    assert not np.array_equal(epochs[0], epochs[1])
    np.testing.assert_array_equal(epochs[0], epochs[2])


@pytest.mark.parametrize("value", [-1, 1.0, True, "1"])
def test_epochs_and_seeds_that_make_no_sense(scene, value):
    image, mask = scene
    with pytest.raises(OptionError, match=f"^seed must be an int of at least 0, got {value!r}$"):
        WindowDataset([image], [mask], LABELS, 32, count=40, seed=value)
    with pytest.raises(OptionError, match=f"^epoch must be an int of at least 0, got {value!r}$"):
        WindowDataset([image], [mask], LABELS, 32, count=40).set_epoch(value)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_same_in_any_worker(tmp_path, scene, method):
    if method == "fork" and sys.platform != "linux":
        pytest.skip("forking is Linux's")
    image, mask = scene
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", planarconfig="contig", compression="lzw")
    Image.fromarray(mask).save(tmp_path / "a.png")
    data = WindowDataset([tmp_path / "a.tif"], [tmp_path / "a.png"], LABELS, 24, count=12, balance="classes")
    expected = [data[index] for index in range(12)]
    loader = DataLoader(data, batch_size=3, num_workers=2, multiprocessing_context=method)
    for number, batch in enumerate(loader):
        for offset in range(3):
            item = expected[3 * number + offset]
            np.testing.assert_array_equal(batch["image"][offset].numpy(), item["image"])
            np.testing.assert_array_equal(batch["mask"][offset].numpy(), item["mask"])


def test_classes_are_balanced(scene):
    image, mask = scene
    plain = WindowDataset([image], [mask], LABELS, 16, count=300)
    balanced = WindowDataset([image], [mask], LABELS, 16, count=300, balance="classes")
    assert balanced.class_counts == {0: mask.size - 1816, 1: 16, 2: 1800}
    assert plain.class_counts is None
    shares = [
        [np.mean([(data[index]["mask"] == number).any() for index in range(300)]) for number in (1, 2)]
        for data in (plain, balanced)
    ]
    assert max(shares[0]) < 0.1
    assert 0.27 < min(shares[1]) <= max(shares[1]) < 0.42  # a third each, and those of others that reach there
    only = WindowDataset([image], [mask], LABELS, 16, count=50, balance={1: 2.5, 0: 0})
    assert all((only[index]["mask"] == 1).any() for index in range(50))


def test_every_pixel_of_a_class_is_as_likely(scene):
    image, mask = scene
    small = np.zeros((40, 40), np.uint8)
    small[3, 4] = small[30, 30] = 1
    data = WindowDataset([image, image[:40, :40]], [mask, small], LABELS, 1, count=1800, balance={1: 1})
    found = Counter(data.place(index) for index in range(1800))
    assert len(found) == 18  # 16 of the one mask and 2 of the other: windows of one pixel lie on it
    assert min(found.values()) > 60
    assert max(found.values()) < 145


def test_what_is_ignored_is_not_drawn(scene):
    image, mask = scene
    data = WindowDataset([image], [mask], ClassIndices(2, ignore_index=2), 8, count=60, balance="classes")
    assert data.class_counts == {0: mask.size - 1816, 1: 16, 2: 1800}
    drawn = np.mean([(data[index]["mask"] == 2).any() for index in range(60)])
    assert drawn < 0.15
    colours = np.zeros((*mask.shape, 3), np.uint8)
    colours[mask == 1] = 255
    colours[mask == 2] = 9
    labels = ColourMap({(0, 0, 0): 0, (255, 255, 255): 1}, unknown=255)
    assert labels.encode
    with refused(LabelError, "with 3 channels"):
        WindowDataset([image], [colours], Binary(), 8, count=9, balance="classes")


def test_little_is_read(scene):
    image, mask = Counted(scene[0]), Counted(scene[1])
    data = WindowDataset([image], [mask], LABELS, 20, count=10, balance="classes")
    assert (image.read_pixels, mask.read_pixels) == (0, 300 * 410)  # for the counts
    for index in range(10):
        data[index]
    assert image.read_pixels == 10 * 400
    assert mask.read_pixels <= 300 * 410 + 10 * (400 + 256 * 256)


def test_small_images_are_continued_by_their_mirror_image():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    item = WindowDataset([image], [image % 3], LABELS, (5, 9))[0]
    rows, columns = [0, 1, 2, 1, 0], [0, 1, 2, 3, 2, 1, 0, 1, 2]
    np.testing.assert_array_equal(item["image"][..., 0], image[rows][:, columns])
    np.testing.assert_array_equal(item["mask"], (image % 3)[rows][:, columns])
    single = WindowDataset([image[:1]], [image[:1] % 3], LABELS, 2)[1]
    assert single["image"].shape == (2, 2, 1)


def _write(path, image, kind):
    if kind == "geotiff":
        shape = {"height": image.shape[0], "width": image.shape[1], "count": image.shape[2], "dtype": image.dtype.name}
        place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_300_000)}
        layout = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "lzw"}
        with rasterio.open(path, "w", driver="GTiff", **shape, **place, **layout) as file:
            file.write(np.moveaxis(image, 2, 0))
    elif kind == "jp2":
        shape = {"height": image.shape[0], "width": image.shape[1], "count": image.shape[2], "dtype": image.dtype.name}
        with rasterio.open(path, "w", driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", **shape) as file:
            file.write(np.moveaxis(image, 2, 0))
    elif kind == "zarr":
        zarr = pytest.importorskip("zarr", reason="zarr 3 needs Python 3.11")
        zarr.create_array(str(path), data=image, chunks=(64, 64, image.shape[2]))
    else:
        np.save(path, image)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("kind", "suffix"), [("geotiff", ".tif"), ("jp2", ".jp2"), ("zarr", ".zarr"), ("npy", ".npy")])
@pytest.mark.parametrize("mask_kind", ["same", "png", "palette.png", "palette.tif"])
def test_formats(tmp_path, scene, kind, suffix, mask_kind):
    image, mask = scene
    paths = tmp_path / f"image{suffix}", tmp_path / f"mask{suffix if mask_kind == 'same' else '.' + mask_kind}"
    _write(paths[0], image, kind)
    if mask_kind == "same":
        _write(paths[1], mask[..., None], kind)
    else:
        picture = Image.fromarray(mask)
        if "palette" in mask_kind:
            picture.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
        picture.save(paths[1])
    data = WindowDataset([paths[0]], [paths[1]], LABELS, 70, count=6, balance="classes")
    for index in range(6):
        _, row, column = data.place(index)
        np.testing.assert_array_equal(data[index]["image"], image[row : row + 70, column : column + 70])
        np.testing.assert_array_equal(data[index]["mask"], mask[row : row + 70, column : column + 70])


def test_many_files_are_not_all_open(tmp_path, scene):
    paths = [tmp_path / f"{number}.npy" for number in range(40)]
    for path in paths:
        np.save(path, scene[0][:20, :20])
    masks = [scene[1][:20, :20]] * 40
    data = WindowDataset(paths, masks, LABELS, 20)
    assert len(data) == 40
    assert len(data._images._open) == 16
    np.testing.assert_array_equal(data[0]["image"], scene[0][:20, :20])
    copy = pickle.loads(pickle.dumps(data))
    assert not copy._images._open
    np.testing.assert_array_equal(copy[39]["image"], scene[0][:20, :20])


def test_channels_transforms_and_tensors(scene):
    image, mask = scene
    grey = np.ascontiguousarray(image[..., 0])
    flipped = WindowDataset(
        [grey], [mask], LABELS, 8, channels=3, transform=lambda image, mask: {"image": image[::-1], "mask": mask[::-1]}
    )
    np.testing.assert_array_equal(flipped[0]["image"][..., 2], grey[:8, :8][::-1])
    pytest.importorskip("torchvision")
    item = WindowDataset([image], [mask], LABELS, 8, format="torchvision")[0]
    assert (item["image"].shape, item["mask"].dtype) == ((5, 8, 8), torch.int64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be an int of at least 1, or (height, width) of these, got 0"),
        ({"size": (3, 4, 5)}, "size must be an int of at least 1, or (height, width) of these, got (3, 4, 5)"),
        ({"stride": -1}, "stride must be an int of at least 1, or (height, width) of these, got -1"),
        ({"count": 0}, "count must be an int of at least 1, or None for a grid, got 0"),
        ({"count": 3, "stride": 3}, "stride is of a grid, count of random windows: expected one of them"),
        ({"balance": "classes"}, "balance is of random windows: expected count, too"),
        ({"count": 3, "balance": "areas"}, "balance must be None, 'classes' or weights by class, got 'areas'"),
        ({"count": 3, "balance": {7: 1}}, "balance asks for classes that no mask has: 7; there are 0, 1, 2"),
        ({"count": 3, "balance": {0: 0}}, "balance must give weights of 0 or more, one above 0, got {0: 0.0}"),
        ({"masks": []}, "expected as many masks as images, and one at least; got 1 images and 0 masks"),
        ({"images": ["a"], "masks": [3]}, "images and masks must be paths, arrays or sources, got int"),
    ],
)
def test_arguments_that_make_no_sense(tmp_path, scene, options, message):
    np.save(tmp_path / "a.npy", scene[0])
    arguments = {"images": [scene[0]], "masks": [scene[1]], "labels": LABELS, "size": 8, **options}
    arguments["images"] = [tmp_path / "a.npy" if item is not scene[0] else item for item in arguments["images"]]
    with refused(OptionError, message):
        WindowDataset(**arguments)


def test_files_that_are_not_as_they_should_be(tmp_path, scene):
    image, mask = scene
    with refused(SizeMismatchError, "image 'number 0' is 300x410 pixels (height x width), but its mask 'number 0' is"):
        WindowDataset([image], [mask[:-1]], LABELS, 8)
    with refused(UnreadableFileError, f"cannot read {str(tmp_path / 'gone.npy')!r}: it does not exist"):
        WindowDataset([tmp_path / "gone.npy"], [mask], LABELS, 8)
    data = WindowDataset([image], [mask], ClassIndices(2), 300)
    with refused(LabelError, "mask 'number 0' holds values that are no class: 2 ("):
        data[1]


def test_smp_predict_is_needed(scene, monkeypatch):
    monkeypatch.setitem(sys.modules, "smp_predict", None)
    with refused(MissingDependencyError, "needs smp-predict: pip install 'smp-datasets[windows]'"):
        WindowDataset([scene[0]], [scene[1]], LABELS, 8)
