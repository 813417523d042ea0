"""The micrograph is the original, with its licence beside it."""

from __future__ import annotations

import hashlib
import pickle
import re

import numpy as np
import pytest
from PIL import Image

from smp_datasets import MicrographDataset, OptionError, micrograph, micrograph_paths


def test_the_sample_is_the_original():
    folder = micrograph_paths().image.parent
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for path in micrograph_paths():
        assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" in readme
    assert "Uwe Schmidt, Martin Weigert" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 1_100_000


def test_the_whole():
    for values, path in zip(micrograph(), micrograph_paths(), strict=True):
        assert (values.shape, values.dtype) == ((512, 512), np.uint16)
        np.testing.assert_array_equal(values, np.asarray(Image.open(path)))


def test_quadrants_do_not_overlap():
    train, valid = MicrographDataset(), MicrographDataset("valid")
    items = [*train, *valid]
    assert (len(train), len(valid)) == (3, 1)
    for item in items:
        assert (item["image"].shape, item["image"].dtype) == ((256, 256, 1), np.uint16)
        assert (item["mask"].shape, item["mask"].dtype) == ((256, 256), np.float32)
    image, instances = micrograph()
    images, masks = ([item[key].squeeze() for item in items] for key in ("image", "mask"))
    np.testing.assert_array_equal(np.block([images[:2], images[2:]]), image)
    np.testing.assert_array_equal(np.block([masks[:2], masks[2:]]), instances > 0)
    with pytest.raises(IndexError):
        valid[1]


def test_items_are_copies():
    data = pickle.loads(pickle.dumps(MicrographDataset("valid")))
    before = data[0]["image"].copy()
    data[0]["image"][:] = 0
    np.testing.assert_array_equal(data[0]["image"], before)


def test_formats_and_modes():
    with pytest.raises(OptionError, match=re.escape("MicrographDataset: mode must be 'train' or 'valid', got 'test'")):
        MicrographDataset("test")
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    item = MicrographDataset("valid", lambda item: {**item, "seen": True}, format="torchvision")[0]
    assert isinstance(item["image"], tv_tensors.Image)
    assert tuple(item["image"].shape) == (1, 256, 256)
    assert item["seen"]
