"""A real model that pools over its whole input, on real scenes: in tiles as in one piece.

The model and the scenes are not part of the repository: they are read in ``../shared/data``, if they are there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import smp_core
from smp_predict import predict

CLOUDS = Path(__file__).parents[4].parent / "shared" / "data" / "clouds"
MODEL = CLOUDS / "smp_unet_efficientnet-b4"
MEAN = np.float32([0.27552253, 0.25566444, 0.26980153, 0.33431220])  # of blue, green, red and near infrared
STD = np.float32([0.24488002, 0.22757471, 0.25371522, 0.23213787])
CLASS_OF = np.array([2, 0, 0, 0, 1])  # the masks' values to 0 clear, 1 cloud, 2 shadow


@pytest.mark.slow
def test_tiles_of_256_with_context():
    pytest.importorskip("smp_efficientnet", reason="the model's encoder is of smp-efficientnet")
    if not MODEL.is_dir():
        pytest.skip(f"no {MODEL}: the cloud model is not part of the repository")
    model = smp_core.from_pretrained(MODEL)
    confusion, same = np.zeros((3, 3), dtype=np.int64), []
    for path in sorted((CLOUDS / "scenes").glob("*.npz")):
        scene = np.load(path)
        bands = (scene["img"][..., :4].astype(np.float32) - MEAN) / STD
        found = predict(model, bands, tile=256, context=96, nodata=None, preprocessing=lambda x: x)
        whole = model.predict(torch.from_numpy(bands).permute(2, 0, 1)[None]).argmax(dim=1)[0].numpy()
        same.append((found == whole).mean())
        truth = CLASS_OF[scene["msk"].astype(np.int64)].reshape(found.shape)
        confusion += np.bincount(3 * truth.ravel() + found.ravel(), minlength=9).reshape(3, 3)
    assert len(same) == 3
    assert np.mean(same) >= 0.995
    hits = confusion.diagonal()
    iou = hits / (confusion.sum(axis=0) + confusion.sum(axis=1) - hits)
    assert iou.mean() == pytest.approx(0.773, abs=0.002)
