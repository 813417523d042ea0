"""Public datasets read as they lie beside the repository: DSB 2018 nuclei and CamVid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from smp_datasets import Binary, ClassIndices, FolderDataset, UnpairedFilesError

SHARED = Path(__file__).parents[5] / "shared" / "data"


def folder_of(name):
    if not (SHARED / name).is_dir():
        pytest.skip(f"{name} is not beside the repository: {SHARED / name} is no folder")
    return SHARED / name


@pytest.mark.parametrize(("part", "number"), [("train", 160), ("val", 40)])
def test_nuclei(part, number):
    folder = folder_of("nuclei") / part
    data = FolderDataset(folder / "images", folder / "masks", Binary(), channels=3)
    assert len(data) == number
    sizes = set()
    for item in data:
        assert (item["image"].shape[2], item["image"].dtype) == (3, np.uint8)
        assert item["image"].shape[:2] == item["mask"].shape
        assert item["mask"].dtype == np.float32
        assert set(np.unique(item["mask"])) == {0.0, 1.0}
        sizes.add(item["mask"].shape)
    assert len(sizes) > 3
    assert FolderDataset(folder / "images", folder / "masks", Binary())[0]["image"].shape[2] == 4


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(("part", "number"), [("train", 200), ("val", 101)])
def test_camvid(part, number):
    folder = folder_of("camvid") / part
    data = FolderDataset(folder / "images", folder / "masks", ClassIndices(11, ignore_index=11))
    assert len(data) == number
    seen = np.zeros(12, dtype=np.int64)
    for batch in DataLoader(data, batch_size=20, num_workers=1, multiprocessing_context="fork"):
        assert tuple(batch["image"].shape[1:]) == (360, 480, 3)
        assert (tuple(batch["mask"].shape[1:]), batch["mask"].dtype) == ((360, 480), torch.uint8)
        seen += np.bincount(batch["mask"].flatten(), minlength=12)
    assert (seen > 0).all()


def test_parts_of_different_data_are_no_pairs():
    camvid, nuclei = folder_of("camvid"), folder_of("nuclei")
    with pytest.raises(
        UnpairedFilesError, match=r"^101 images without a mask .* and 81 more; 40 masks without an image"
    ):
        FolderDataset(camvid / "val" / "images", nuclei / "val" / "masks", Binary())
