"""A real model, trained by others with segmentation_models_pytorch: it loads, and scores what it is known to score.

The model and the scenes are not part of the repository: they are read in ``../shared/data``, if they are there.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

import smp_core

CLOUDS = Path(__file__).parents[4].parent / "shared" / "data" / "clouds"
MODEL = CLOUDS / "smp_unet_efficientnet-b4"
MEAN = (0.27552253, 0.25566444, 0.26980153, 0.33431220)  # of blue, green, red and near infrared
STD = (0.24488002, 0.22757471, 0.25371522, 0.23213787)
CLASS_OF = np.array([2, 0, 0, 0, 1])  # the masks' values to 0 clear, 1 cloud, 2 shadow


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("smp_unet", reason="the model is a Unet: it needs smp-unet")
    if not MODEL.is_dir():
        pytest.skip(f"no {MODEL}: the cloud model is not part of the repository")
    return smp_core.from_pretrained(MODEL)


def test_what_is_loaded(model):
    assert not model.training
    assert {item.dtype for item in model.parameters()} == {torch.float32}
    assert model.encoder.in_channels == 4


def test_score_on_the_three_scenes(model):
    confusion = np.zeros((3, 3), dtype=np.int64)
    scenes = sorted((CLOUDS / "scenes").glob("*.npz"))
    assert len(scenes) == 3
    for path in scenes:
        scene = np.load(path)
        bands = (scene["img"][..., :4].astype(np.float32) - np.float32(MEAN)) / np.float32(STD)
        x = torch.from_numpy(bands).permute(2, 0, 1)[None].contiguous()
        predicted = model.predict(x).argmax(dim=1)[0].numpy()
        truth = CLASS_OF[scene["msk"].astype(np.int64)].reshape(predicted.shape)
        confusion += np.bincount(3 * truth.ravel() + predicted.ravel(), minlength=9).reshape(3, 3)
    hits = confusion.diagonal()
    iou = hits / (confusion.sum(axis=0) + confusion.sum(axis=1) - hits)
    assert iou == pytest.approx([0.803, 0.843, 0.674], abs=0.001)
    assert iou.mean() == pytest.approx(0.773, abs=0.001)
