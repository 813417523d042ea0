"""A folder as a dataset: items in both formats, transforms, loaders with workers, and errors that name the file."""

from __future__ import annotations

import gc
import os
import pickle
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from smp_datasets import (
    Binary,
    ChannelMismatchError,
    ClassIndices,
    ColourMap,
    FileError,
    FolderDataset,
    LabelError,
    MissingDependencyError,
    OptionError,
    SizeMismatchError,
    UnreadableFileError,
    split,
)


def refused(error, message):
    return pytest.raises(error, match=re.escape(message))


@pytest.fixture
def folder(tmp_path, noise):
    """Five pairs of 6x8: colour images, masks of 0, 1, 2 and 255."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(5):
        Image.fromarray(noise(6, 8, 3)).save(tmp_path / "images" / f"{number}.png")
        mask = noise(6, 8, below=3)
        mask[0] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path


def dataset(folder, labels=None, **options):
    return FolderDataset(folder / "images", folder / "masks", labels or ClassIndices(3, ignore_index=255), **options)


def pixels_of(path):
    return np.asarray(Image.open(path))


def test_items_as_arrays(folder):
    data = dataset(folder)
    assert len(data) == 5
    assert data.names == ["0", "1", "2", "3", "4"]
    for number, item in enumerate(data):
        assert list(item) == ["image", "mask"]
        assert (item["image"].shape, item["image"].dtype) == ((6, 8, 3), np.uint8)
        assert (item["mask"].shape, item["mask"].dtype) == ((6, 8), np.uint8)
        np.testing.assert_array_equal(item["image"], pixels_of(folder / f"images/{number}.png"))
        np.testing.assert_array_equal(item["mask"], pixels_of(folder / f"masks/{number}.png"))
        assert all(values.flags.writeable and values.flags.owndata for values in item.values())
    assert data[-1]["image"].tolist() == data[4]["image"].tolist()
    with pytest.raises(IndexError):
        data[5]


def test_prefixes_are_no_part_of_a_name(folder):
    for path in (folder / "masks").iterdir():
        path.rename(path.with_name(f"gt_{path.name}"))
    data = dataset(folder, mask_prefix="gt_")
    assert data.names == ["0", "1", "2", "3", "4"]
    assert data[0]["mask"].shape == (6, 8)


def test_items_as_tv_tensors(folder):
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    plain = dataset(folder)[3]
    item = dataset(folder, format="torchvision")[3]
    assert type(item["image"]) is tv_tensors.Image
    assert type(item["mask"]) is tv_tensors.Mask
    assert item["mask"].dtype == torch.int64
    assert torch.equal(item["image"], torch.from_numpy(plain["image"]).permute(2, 0, 1))
    assert torch.equal(item["mask"], torch.from_numpy(plain["mask"]))
    assert dataset(folder, Binary(), format="torchvision")[0]["mask"].dtype == torch.float32


def test_torchvision_transforms(folder):
    v2 = pytest.importorskip("torchvision.transforms.v2")
    transform = v2.Compose(
        [v2.RandomHorizontalFlip(1.0), v2.Resize((12, 16)), v2.ToDtype({**SCALE(), "others": None}, True)]
    )
    item = dataset(folder, format="torchvision", transform=transform)[0]
    plain = dataset(folder)[0]
    assert (item["image"].shape, item["image"].dtype) == ((3, 12, 16), torch.float32)
    assert float(item["image"].max()) <= 1
    expected = np.repeat(np.repeat(plain["mask"][:, ::-1], 2, 0), 2, 1)
    np.testing.assert_array_equal(item["mask"].numpy(), expected)


def SCALE():  # noqa: N802
    from torchvision import tv_tensors

    return {tv_tensors.Image: torch.float32}


def test_transforms_of_arrays(folder):
    def transform(image, mask):
        return {"image": image[:4].astype(np.float32), "mask": mask[:4], "more": 1}

    item = dataset(folder, transform=transform)[0]
    assert (item["image"].shape, item["mask"].shape, item["more"]) == ((4, 8, 3), (4, 8), 1)
    message = "the transform gave ndarray; expected a mapping with the keys image, mask"
    with refused(TypeError, message):
        dataset(folder, transform=lambda image, mask: image)[0]


def test_without_torchvision(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.tv_tensors", raising=False)
    assert isinstance(dataset(folder)[0]["image"], np.ndarray)
    with refused(
        MissingDependencyError, "format='torchvision' needs torchvision 0.19 or newer (pip install torchvision)"
    ):
        dataset(folder, format="torchvision")
    with refused(OptionError, "format must be 'numpy' or 'torchvision', got 'tensor'"):
        dataset(folder, format="tensor")


# Newer Pythons warn of forks while threads run, such as those of torch or of a test's server.
FORK = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@FORK
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loader_with_workers(folder, method):
    data = dataset(folder)
    loader = DataLoader(data, batch_size=2, num_workers=1, multiprocessing_context=method)
    batches = list(loader)
    assert [tuple(batch["image"].shape) for batch in batches] == [(2, 6, 8, 3), (2, 6, 8, 3), (1, 6, 8, 3)]
    images = torch.cat([batch["image"] for batch in batches])
    assert torch.equal(images, torch.stack([torch.from_numpy(item["image"]) for item in data]))


@FORK
def test_errors_pass_from_workers(folder):
    (folder / "masks/3.png").write_bytes(b"nothing")
    loader = DataLoader(dataset(folder), num_workers=1, multiprocessing_context="fork")
    with refused(UnreadableFileError, f"cannot read {str(folder / 'masks/3.png')!r}"):
        list(loader)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted in /proc, which is Linux's")
def test_no_file_stays_open(folder):
    data = dataset(folder)
    gc.collect()  # what earlier tests left open is not to be closed meanwhile
    before = len(os.listdir("/proc/self/fd"))
    items = [data[index] for index in range(5)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(items) == 5


def test_pickle(folder):
    data = dataset(folder, ColourMap({(0, 0, 0): 0, (1, 1, 1): 1, (2, 2, 2): 2}, unknown=255), channels=3)
    again = pickle.loads(pickle.dumps(data))
    assert again.names == data.names
    np.testing.assert_array_equal(again[2]["mask"], data[2]["mask"])
    np.testing.assert_array_equal(data[2]["mask"], dataset(folder)[2]["mask"])


def test_16_bits_are_batched(folder, noise):
    for number in range(5):
        Image.fromarray(noise(6, 8, below=65536, dtype=np.uint16)).save(folder / f"images/{number}.png")
    batch = next(iter(DataLoader(dataset(folder), batch_size=5)))
    assert (tuple(batch["image"].shape), batch["image"].dtype) == ((5, 6, 8, 1), torch.uint16)
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    item = dataset(folder, format="torchvision")[0]
    assert isinstance(item["image"], tv_tensors.Image)
    assert item["image"].dtype == torch.uint16


def test_many_bands(folder, noise):
    for number in range(5):
        (folder / f"images/{number}.png").unlink()
        np.save(folder / f"images/{number}.npy", noise(6, 8, 13).astype(np.float32))
    item = dataset(folder)[0]
    assert (item["image"].shape, item["image"].dtype) == ((6, 8, 13), np.float32)
    assert dataset(folder, channels=13)[0]["image"].shape == (6, 8, 13)
    message = f"image {str(folder / 'images/0.npy')!r} is float32 array with 13 channels; expected 3 channels, or grey"
    with refused(ChannelMismatchError, message):
        dataset(folder, channels=3)[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_channels(dtype, folder, noise, write_png):
    def read(values, channels):
        write_png(folder / "images/0.png", values, np.dtype(dtype).itemsize * 8)
        image = dataset(folder, channels=channels)[0]["image"]
        assert image.dtype == dtype
        return image

    rgba = noise(6, 8, 4, below=np.iinfo(dtype).max + 1, dtype=dtype)
    luma = np.array(Image.fromarray((rgba[..., :3] >> (8 * (dtype == np.uint16))).astype(np.uint8)).convert("L"))
    for values in (rgba, rgba[..., :3]):
        np.testing.assert_array_equal(read(values, 3), rgba[..., :3])
        grey = read(values, 1)[..., 0]
        assert np.abs(grey.astype(int) // (257 if dtype == np.uint16 else 1) - luma).max() <= 1
    for values in (rgba[..., :1], rgba[..., :2]):
        np.testing.assert_array_equal(read(values, 1), rgba[..., :1])
        np.testing.assert_array_equal(read(values, 3), rgba[..., [0, 0, 0]])
    for channels, values in ((4, rgba), (2, rgba[..., :2]), (None, rgba), (None, rgba[..., :2])):
        np.testing.assert_array_equal(read(values, channels), values)
    with refused(ChannelMismatchError, "0.png' is 8-bit RGB" if dtype == np.uint8 else "0.png' is 16-bit RGB"):
        read(rgba[..., :3], 4)
    with refused(OptionError, "channels must be 1 or more, or None for those of each file; got 0"):
        dataset(folder, channels=0)


def test_sizes_that_differ(folder, noise):
    Image.fromarray(noise(5, 8, below=3)).save(folder / "masks/2.png")
    message = (
        f"image {str(folder / 'images/2.png')!r} is 6x8 pixels (height x width), but its mask "
        f"{str(folder / 'masks/2.png')!r} is 5x8; expected equal sizes"
    )
    with pytest.raises(SizeMismatchError) as caught:
        dataset(folder)[2]
    assert str(caught.value) == message
    Image.fromarray(noise(8, 6, below=3)).save(folder / "masks/2.png")
    with refused(
        SizeMismatchError, "is 8x6; expected equal sizes; if only one of them is turned by its EXIF data, try"
    ):
        dataset(folder)[2]


def test_turned_images(folder, noise):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(6, 8, 3)).save(folder / "images/2.png", exif=exif)
    with refused(SizeMismatchError, "is 8x6 pixels (height x width)"):
        dataset(folder)[2]
    assert dataset(folder, upright=False)[2]["image"].shape == (6, 8, 3)
    Image.fromarray(noise(8, 6, below=3)).save(folder / "masks/2.png")
    assert dataset(folder)[2]["image"].shape == (8, 6, 3)


def test_check_reads_everything_and_lists_every_problem(folder, noise):
    assert dataset(folder).check() is None
    Image.fromarray(noise(5, 8, below=3)).save(folder / "masks/2.png")
    with refused(SizeMismatchError, "2.png' is 5x8; expected equal sizes"):
        dataset(folder).check()
    Image.fromarray(np.full((6, 8), 9, np.uint8)).save(folder / "masks/4.png")
    (folder / "images/0.png").write_bytes(b"")
    with pytest.raises(FileError) as caught:
        dataset(folder).check()
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 pairs of 5 cannot be used:"
    for line, name in zip(lines[1:], ("images/0.png", "masks/2.png", "masks/4.png"), strict=True):
        assert repr(str(folder / name)) in line


def test_check_of_many_problems(folder):
    for number in range(30):
        (folder / f"images/{number}.png").write_bytes(b"")
        (folder / f"masks/{number}.png").write_bytes(b"")
    with pytest.raises(FileError, match=r"^30 pairs of 30 cannot be used:(\n.*){20}\nand 10 more$"):
        dataset(folder).check()


def test_unknown_labels_name_the_file(folder):
    with refused(LabelError, f"mask {str(folder / 'masks/1.png')!r} holds values that are no class: 255 (8 pixels"):
        dataset(folder, ClassIndices(3))[1]
    with refused(
        LabelError, f"mask {str(folder / 'masks/1.png')!r} holds colours that are no class: (255, 255, 255) (8"
    ):
        dataset(folder, ColourMap({(0, 0, 0): 0, (1, 1, 1): 1, (2, 2, 2): 2}))[1]


def test_parts_of_a_folder(folder):
    parts = split(dataset(folder).names, {"train": 0.6, "val": 0.4})
    train, val = (dataset(folder, names=parts[part]) for part in ("train", "val"))
    assert sorted(train.names + val.names) == ["0", "1", "2", "3", "4"]
    assert len(train) + len(val) == 5


def test_labels_of_ones_own(folder):
    class Flipped:
        def encode(self, mask):
            return mask.values[::-1, :, 0].copy()

    np.testing.assert_array_equal(dataset(folder, Flipped())[0]["mask"], pixels_of(folder / "masks/0.png")[::-1])
