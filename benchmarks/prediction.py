"""Peak memory and throughput of smp_predict.predict over the size of the image, each size in a process of its own.

    python benchmarks/prediction.py [--light] [SIDE ...]

The image is computed window by window and the labels of 20 classes go into a file, so that what is measured is the
tiling. The model's own throughput is that on batches of tiles in memory, in the same process. ``--light``: one 1x1
convolution for the model, for large sides on small machines.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import smp_core
from smp_predict import Window, predict

SIDES = (2_000, 5_000, 10_000)
CLASSES, TILE, BATCH = 20, 512, 4


class Waves:
    """An image of waves, of any size."""

    dtype = np.dtype(np.uint8)

    def __init__(self, side: int) -> None:
        self.shape = (side, side, 3)

    def read(self, window: Window) -> np.ndarray:
        rows = np.arange(window.row, window.row + window.height, dtype=np.float32)[:, None, None]
        columns = np.arange(window.column, window.column + window.width, dtype=np.float32)[None, :, None]
        return (np.sin(rows / 40 + np.arange(3, dtype=np.float32)) * np.cos(columns / 60) * 127 + 128).astype(np.uint8)


def model(light: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    if light:
        return torch.nn.Conv2d(3, CLASSES, 1)
    options = {"encoder_weights": None, "classes": CLASSES, "encoder_depth": 3, "decoder_channels": (64, 32, 16)}
    return smp_core.create("unet", "mobilenet_v2", **options).eval()


def measure(side: int, *, light: bool) -> None:
    """Print peak memory in MB, and megapixels of tiles a second: of the whole run, and of the model alone."""
    net = model(light)
    batch = torch.rand(BATCH, 3, TILE, TILE)
    with torch.inference_mode():
        net(batch)
        began = time.perf_counter()
        for _ in range(4):
            net(batch)
        alone = 4 * batch[:, 0].numel() / (time.perf_counter() - began) / 1e6
    seen = []
    with tempfile.TemporaryDirectory() as folder:
        predict(net, Waves(side), Path(folder) / "labels.npy", tile=TILE, batch_size=BATCH, progress=seen.append)
    last = seen[-1]
    rate = last.total * TILE * TILE / last.seconds / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"| {side:,}² | {peak:,.0f} MB | {rate:.2f} | {alone:.2f} | {rate / alone:.2f} |", flush=True)


def main() -> None:
    arguments = sys.argv[1:]
    light = ["--light"] if "--light" in arguments else []
    sides = [int(item) for item in arguments if item.isdigit()] or SIDES
    if "--measure" in arguments:
        measure(sides[0], light=bool(light))
        return
    print("| image | peak memory | Mpixel/s of tiles | model alone | of it |\n|---|---|---|---|---|", flush=True)
    for side in sides:
        subprocess.run([sys.executable, __file__, "--measure", str(side), *light], check=True)


if __name__ == "__main__":
    main()
