"""Oxford-IIIT Pet from small archives of the same form, fetched from a server on this machine."""

from __future__ import annotations

import functools
import hashlib
import io
import pickle
import re
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from smp_datasets import (
    OXFORD_PET,
    ChecksumError,
    FileListError,
    LabelError,
    OptionError,
    OxfordPetDataset,
    RemoteFile,
    SimpleOxfordPetDataset,
    SizeMismatchError,
    UnpairedFilesError,
    UnreadableFileError,
)


def refused(error, message):
    return pytest.raises(error, match=re.escape(message))


def encoded(values, kind, mode=None):
    data = io.BytesIO()
    picture = Image.fromarray(values)
    (picture.convert(mode) if mode else picture).save(data, kind)
    return data.getvalue()


def archives_of(folder):
    """images.tar.gz and annotations.tar.gz with 25 small animals, and the odd files that the real ones have."""
    generator = np.random.default_rng(0)
    members = {"images": {}, "annotations": {}}
    names = [f"Abyssinian_{number}" for number in range(25)]
    for number, name in enumerate(names):
        height = 20 + number
        picture = generator.integers(0, 256, (height, 30, 3), dtype=np.uint8)
        # The real dataset has grey files, files with a palette and PNGs that are called .jpg.
        kind, mode = {3: ("PNG", "P"), 4: ("JPEG", "L"), 5: ("PNG", "RGBA")}.get(number, ("JPEG", None))
        members["images"][f"images/{name}.jpg"] = encoded(picture, kind, mode)
        trimap = generator.integers(1, 4, (height, 30), dtype=np.uint8)
        members["annotations"][f"annotations/trimaps/{name}.png"] = encoded(trimap, "PNG")
        members["annotations"][f"annotations/trimaps/._{name}.png"] = b"resource fork"
    members["images"]["images/Abyssinian_1.mat"] = b"matlab"
    lists = {"trainval": names[:21], "test": names[21:]}
    for part, listed in lists.items():
        text = "#Image CLASS-ID SPECIES BREED ID\n" + "".join(f"{name} 1 1 1\n" for name in listed)
        members["annotations"][f"annotations/{part}.txt"] = text.encode()
    for archive, files in members.items():
        with tarfile.open(folder / f"{archive}.tar.gz", "w:gz") as file:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Where the archives are, as ``download`` takes it."""
    folder = tmp_path_factory.mktemp("served")
    archives_of(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield {
            name: RemoteFile(
                f"{url}/{name}.tar.gz", "md5:" + hashlib.md5((folder / f"{name}.tar.gz").read_bytes()).hexdigest()
            )
            for name in ("images", "annotations")
        }
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def downloaded(files, tmp_path_factory):
    root = tmp_path_factory.mktemp("pets") / "oxford"
    OxfordPetDataset.download(root, files=files, progress=False)
    return root


@pytest.fixture
def root(downloaded, tmp_path):
    """A copy that a test may spoil."""
    import shutil

    return shutil.copytree(downloaded, tmp_path / "copy")


def test_download(files, downloaded, tmp_path):
    assert sorted(path.name for path in downloaded.iterdir()) == ["annotations", "images"]
    elsewhere = {name: RemoteFile("http://127.0.0.1:9/x.tar.gz", file.checksum) for name, file in files.items()}
    OxfordPetDataset.download(downloaded, files=elsewhere)  # all is there: nothing is asked for
    reports = []
    OxfordPetDataset.download(tmp_path, files=files, progress=lambda *r: reports.append(r), keep_archives=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "annotations",
        "annotations.tar.gz",
        "images",
        "images.tar.gz",
    ]
    assert all(done <= total for done, total in reports)


def test_a_wrong_archive_leaves_nothing(files, tmp_path):
    wrong = {**files, "images": RemoteFile(files["images"].url, "md5:" + "0" * 32)}
    with refused(ChecksumError, f"{files['images'].url} gave "):
        SimpleOxfordPetDataset.download(tmp_path, files=wrong, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_the_published_archives():
    assert {name: file.checksum for name, file in OXFORD_PET.items()} == {
        "images": "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c",
        "annotations": "md5:95a8c909bbe2e81eed6a22bccdf3f68f",
    }
    assert all(file.url.startswith("https://www.robots.ox.ac.uk/~vgg/data/pets/data/") for file in OXFORD_PET.values())


def test_modes(downloaded):
    names = {mode: OxfordPetDataset(downloaded, mode).filenames for mode in ("train", "valid", "test")}
    assert names["valid"] == ["Abyssinian_0", "Abyssinian_10", "Abyssinian_20"]
    assert names["test"] == [f"Abyssinian_{number}" for number in range(21, 25)]
    assert names["train"] == [f"Abyssinian_{number}" for number in range(20) if number % 10]
    with refused(OptionError, "OxfordPetDataset: mode must be 'train', 'valid' or 'test', got 'val'"):
        OxfordPetDataset(downloaded, "val")


def test_items(downloaded):
    data = OxfordPetDataset(str(downloaded))
    for number, item in enumerate(data):
        assert list(item) == ["image", "mask", "trimap"]
        name = data.filenames[number]
        picture = Image.open(downloaded / "images" / f"{name}.jpg").convert("RGB")
        np.testing.assert_array_equal(item["image"], np.asarray(picture))
        trimap = np.asarray(Image.open(downloaded / "annotations/trimaps" / f"{name}.png"))
        np.testing.assert_array_equal(item["trimap"], trimap)
        np.testing.assert_array_equal(item["mask"], trimap != 2)
        assert (item["mask"].dtype, item["trimap"].dtype) == (np.float32, np.uint8)


def test_simple_items_are_batched(downloaded):
    (batch,) = DataLoader(SimpleOxfordPetDataset(downloaded, "test"), 4)
    shapes = {key: (tuple(value.shape), value.dtype) for key, value in batch.items()}
    assert shapes == {
        "image": ((4, 3, 256, 256), torch.uint8),
        "mask": ((4, 1, 256, 256), torch.float32),
        "trimap": ((4, 1, 256, 256), torch.uint8),
    }
    assert set(batch["trimap"].unique().tolist()) == {1, 2, 3}
    assert torch.equal(batch["mask"] == 1, batch["trimap"] != 2)


def test_torchvision(downloaded):
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    v2 = pytest.importorskip("torchvision.transforms.v2")
    item = OxfordPetDataset(downloaded, format="torchvision")[0]
    assert (type(item["image"]), type(item["trimap"])) == (tv_tensors.Image, tv_tensors.Mask)
    assert (item["image"].shape[0], item["mask"].ndim, item["trimap"].dtype) == (3, 2, torch.int64)
    plain = SimpleOxfordPetDataset(downloaded)[0]
    simple = SimpleOxfordPetDataset(downloaded, transform=v2.RandomHorizontalFlip(1.0), format="torchvision")[0]
    for key, values in plain.items():
        np.testing.assert_array_equal(simple[key].flip(-1).numpy(), values)
    assert isinstance(simple["mask"], tv_tensors.Mask)


def test_transforms(downloaded):
    def transform(image, mask, trimap):
        return {"image": image[:10].copy(), "mask": mask[:10], "trimap": trimap[:10], "more": "kept"}

    assert OxfordPetDataset(downloaded, transform=transform)[0]["mask"].shape == (10, 30)
    item = SimpleOxfordPetDataset(downloaded, transform=transform)[0]
    assert (item["image"].shape, item["more"]) == ((3, 256, 256), "kept")

    def to_float(image, mask, trimap):
        return {"image": image.astype(np.float64), "mask": mask, "trimap": trimap}

    message = "Abyssinian_1.jpg': after the transform it is float64 array of shape (21, 30, 3); SimpleOxfordPetDataset"
    with refused(UnreadableFileError, message):
        SimpleOxfordPetDataset(downloaded, transform=to_float)[0]

    def to_list(image, mask, trimap):
        return {"image": image.tolist(), "mask": mask, "trimap": trimap}

    with refused(UnreadableFileError, "Abyssinian_1.jpg': after the transform it is list; SimpleOxfordPetDataset"):
        SimpleOxfordPetDataset(downloaded, transform=to_list)[0]


def test_pickle(downloaded):
    data = pickle.loads(pickle.dumps(SimpleOxfordPetDataset(downloaded, "valid")))
    assert len(data) == 3
    assert data[2]["image"].shape == (3, 256, 256)


def test_nothing_there(tmp_path):
    message = f"cannot read the list {str(tmp_path / 'annotations' / 'trainval.txt')!r} ("
    with refused(FileListError, message):
        OxfordPetDataset(tmp_path)
    with refused(FileListError, f"OxfordPetDataset.download({str(tmp_path)!r}) fetches the dataset"):
        OxfordPetDataset(tmp_path, "test")


def test_missing_files_are_listed_at_once(root):
    image, mask = root / "images/Abyssinian_22.jpg", root / "annotations/trimaps/Abyssinian_23.png"
    image.unlink()
    mask.unlink()
    with pytest.raises(UnpairedFilesError) as caught:
        OxfordPetDataset(root, "test")
    assert str(caught.value) == (
        f"2 files of the dataset missing: {str(image)!r}, {str(mask)!r}; delete their folder and call "
        f"OxfordPetDataset.download({str(root)!r})"
    )
    assert (caught.value.images, caught.value.masks) == ((str(image),), (str(mask),))
    assert len(OxfordPetDataset(root, "valid")) == 3


def test_damaged_files_are_named(root):
    (root / "images/Abyssinian_21.jpg").write_bytes(b"")
    Image.fromarray(np.ones((3, 3), np.uint8)).save(root / "annotations/trimaps/Abyssinian_22.png")
    Image.fromarray(np.zeros((43, 30), np.uint8)).save(root / "annotations/trimaps/Abyssinian_23.png")
    data = OxfordPetDataset(root, "test")
    with refused(UnreadableFileError, f"cannot read {str(root / 'images/Abyssinian_21.jpg')!r}"):
        data[0]
    with refused(SizeMismatchError, f"but its trimap {str(root / 'annotations/trimaps/Abyssinian_22.png')!r} is 3x3"):
        data[1]
    with refused(LabelError, f"mask {str(root / 'annotations/trimaps/Abyssinian_23.png')!r} holds values that are no"):
        data[2]
