"""Whether pretrained weights arrive in the model, measured where it counts: fine-tuning on few images.

Trains Unet/mobilenet_v2 on CamVid for a fixed number of steps, from pretrained and from random weights, with the same
seeds, batches and recipe, and prints the mean IoU of each over the 11 classes of the validation images. Fails unless
the pretrained weights win with every seed.

    python benchmarks/pretrained.py --weights mobilenet_v2-b0353104.pth [--data FOLDER] [--steps 120] [--seeds 0 1]

``--weights`` is whatever ``encoder_weights`` takes; without it, the encoder's default weights.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

import smp_core
from smp_core.errors import WeightsError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "camvid"
ENCODER = "mobilenet_v2"
NUM_CLASSES = 11
IGNORED = 11  # the label of pixels that nobody labelled
SIZE = (240, 180)  # width and height: half of the originals, so that a crop holds a scene
CROP = 160
BATCH = 8
LEARNING_RATE = 1e-3


def read(folder: Path) -> tuple[Tensor, Tensor]:
    """The images (N, 3, H, W) and masks (N, H, W) of a split, uint8."""
    images, masks = [], []
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as image, Image.open(folder / "masks" / f"{path.stem}.png") as mask:
            images.append(np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BILINEAR)))
            masks.append(np.asarray(mask.resize(SIZE, Image.Resampling.NEAREST)))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), torch.from_numpy(np.stack(masks))


def batches(images: Tensor, masks: Tensor, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Random crops, half of them mirrored; the same for the same seed."""
    random = np.random.default_rng(seed)
    height, width = masks.shape[1:]
    for _ in range(steps):
        pairs = []
        for index in random.choice(len(images), BATCH, replace=False):
            top, left = random.integers(height - CROP + 1), random.integers(width - CROP + 1)
            window = (..., slice(top, top + CROP), slice(left, left + CROP))
            pair = images[index][window], masks[index][window]
            pairs.append(tuple(item.flip(-1) for item in pair) if random.random() < 0.5 else pair)
        x, y = zip(*pairs, strict=True)
        yield torch.stack(x), torch.stack(y).long()


def train(
    model: smp_core.SegmentationModel, images: Tensor, masks: Tensor, steps: int, seed: int
) -> smp_core.SegmentationModel:
    prepare = smp_core.preprocessing(ENCODER)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    model.train()
    for x, y in batches(images, masks, steps, seed):
        loss = functional.cross_entropy(model(prepare(x)), y, ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


def mean_iou(model: smp_core.SegmentationModel, images: Tensor, masks: Tensor) -> float:
    """Intersection over union of each class, pooled over all labelled pixels, then the mean over the classes."""
    prepare = smp_core.preprocessing(ENCODER)
    counts = torch.zeros(NUM_CLASSES, NUM_CLASSES, dtype=torch.int64)
    for x, y in zip(images.split(BATCH), masks.split(BATCH), strict=True):
        found = model.predict(prepare(x)).argmax(dim=1)
        labelled = y != IGNORED
        pairs = y[labelled].long() * NUM_CLASSES + found[labelled]
        counts += torch.bincount(pairs, minlength=NUM_CLASSES**2).view(NUM_CLASSES, NUM_CLASSES)
    right = counts.diag()
    union = counts.sum(0) + counts.sum(1) - right
    return float((right / union)[union > 0].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default=True, help="as encoder_weights: a file, a name, hf-hub:owner/name")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with train and val")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments = parser.parse_args()
    if not (arguments.data / "train").is_dir():
        print(f"skipped: there is no CamVid in {arguments.data}; pass its folder as --data")
        return
    try:
        smp_core.create_encoder(ENCODER, weights=arguments.weights)
    except WeightsError as error:
        print(f"skipped: {error}\nHere: pass a file as --weights.")
        return
    training, validation = read(arguments.data / "train"), read(arguments.data / "val")
    print(
        f"Unet/{ENCODER}, {arguments.steps} steps of {BATCH} crops of {CROP}x{CROP}, {torch.get_num_threads()} threads"
    )
    print(f"{len(training[0])} training images, {len(validation[0])} validation images of {SIZE[0]}x{SIZE[1]}")
    scores: dict[str, list[float]] = {"pretrained": [], "random": []}
    for seed in arguments.seeds:
        for name, weights in (("pretrained", arguments.weights), ("random", None)):
            start = time.perf_counter()
            torch.manual_seed(seed)  # the decoder starts from the same parameters in both
            model = smp_core.create("unet", ENCODER, encoder_weights=weights, classes=NUM_CLASSES)
            score = mean_iou(train(model, *training, arguments.steps, seed), *validation)
            scores[name].append(score)
            print(f"seed {seed}  {name:10}  mIoU {score:.3f}   {time.perf_counter() - start:4.0f} s", flush=True)
    means = {name: statistics.fmean(values) for name, values in scores.items()}
    print(f"mean    pretrained {means['pretrained']:.3f}, random {means['random']:.3f}")
    if not all(a > b for a, b in zip(scores["pretrained"], scores["random"], strict=True)):
        raise SystemExit("the pretrained weights did not win with every seed")


if __name__ == "__main__":
    main()
