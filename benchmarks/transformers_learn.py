"""What a plain transformer learns under a neck and Unet, and under DPT: the same encoder, data, steps and seeds.

Run: ``python benchmarks/transformers_learn.py nuclei FOLDER`` or ``... micrograph``; about 15 minutes. FOLDER
has ``train`` and ``val``, each with ``images`` and ``masks`` of the same names (Data Science Bowl 2018). Prints the
intersection over union of the nuclei on what was held out, a line a seed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

import smp_core

_CROP = 96
_BATCH = 4
_ARCHITECTURES = ("unet", "dpt")

# Small decoders of about as many parameters, so that the comparison is one of architectures.
_OPTIONS = {
    "unet": {"decoder_channels": (96, 64, 48, 32, 16)},
    "dpt": {"decoder_intermediate_channels": (64, 96, 128, 128), "decoder_fusion_channels": 64},
}

Pairs = list[tuple[Tensor, Tensor]]


def nuclei(folder: Path) -> tuple[Pairs, Pairs]:
    """Pairs of an image (3, H, W) in 0..1 and a mask (1, H, W): those to train on, and those held out."""
    return _pairs(folder / "train"), _pairs(folder / "val")


def _pairs(folder: Path) -> Pairs:
    return [
        (
            _tensor(Image.open(path).convert("RGB")),
            (_tensor(Image.open(folder / "masks" / path.name).convert("L")) > 0).float(),
        )
        for path in sorted((folder / "images").iterdir())
    ]


def _tensor(image: Image.Image) -> Tensor:
    channels = len(image.getbands())
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(image.height, image.width, channels).permute(2, 0, 1).float() / 255


def micrograph() -> tuple[Pairs, Pairs]:
    """One micrograph, its lower right quadrant held out."""
    from smp_datasets.micrograph import micrograph as read  # only this needs it

    pixels, instances = read()
    image = torch.from_numpy(pixels.astype("float32"))[None]
    image = (image / image.max()).expand(3, -1, -1)
    mask = torch.from_numpy((instances > 0).astype("float32"))[None]
    half = image.shape[1] // 2
    trained = [(image[:, :half], mask[:, :half]), (image[:, half:, :half], mask[:, half:, :half])]
    return trained, [(image[:, half:, half:], mask[:, half:, half:])]


def batch(pairs: Pairs, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random crops, mirrored and turned at random: (N, 3, H, W) and (N, 1, H, W)."""
    images, masks = [], []
    for _ in range(_BATCH):
        image, mask = pairs[int(torch.randint(len(pairs), (), generator=generator))]
        both = torch.cat([image, mask])
        both = functional.pad(both, [0, max(0, _CROP - both.shape[2]), 0, max(0, _CROP - both.shape[1])])
        top = int(torch.randint(both.shape[1] - _CROP + 1, (), generator=generator))
        left = int(torch.randint(both.shape[2] - _CROP + 1, (), generator=generator))
        both = both[:, top : top + _CROP, left : left + _CROP]
        turns, mirrored = torch.randint(4, (), generator=generator), torch.randint(2, (), generator=generator)
        both = torch.rot90(both.flip(2) if mirrored else both, int(turns), (1, 2))
        images.append(both[:3])
        masks.append(both[3:])
    return torch.stack(images), torch.stack(masks)


def learn(arch: str, encoder: str, trained: Pairs, held_out: Pairs, *, seed: int, steps: int) -> float:
    """Train from random parameters; the intersection over union on what was held out, pooled."""
    torch.manual_seed(seed)
    model = smp_core.create(arch, encoder, encoder_weights=None, **_OPTIONS[arch])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        images, masks = batch(trained, generator)
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(model(images), masks).backward()
        optimiser.step()
        schedule.step()
    meets, joins = 0.0, 0.0
    for image, mask in held_out:
        found = model.predict(image[None])[0] > 0
        meets += float((found & (mask > 0)).sum())
        joins += float((found | (mask > 0)).sum())
    return meets / joins


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=("nuclei", "micrograph"))
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--encoder", default="tu-test_vit")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    load: Callable[[], tuple[Pairs, Pairs]] = (
        micrograph if arguments.data == "micrograph" else lambda: nuclei(arguments.folder)
    )
    trained, held_out = load()
    found: dict[str, list[float]] = {arch: [] for arch in _ARCHITECTURES}
    for seed in range(arguments.seeds):
        for arch, scores in found.items():
            scores.append(learn(arch, arguments.encoder, trained, held_out, seed=seed, steps=arguments.steps))
        print(f"seed {seed}: " + ", ".join(f"{arch} {scores[-1]:.3f}" for arch, scores in found.items()), flush=True)
    print("mean: " + ", ".join(f"{arch} {statistics.mean(scores):.3f}" for arch, scores in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
