"""smp_predict.predict beside MONAI's sliding_window_inference and terratorch's tiled_inference, in one run.

    python benchmarks/prediction_peers.py [--light] [--side 2048] [--rounds 7] [--memory]

The same model, tiles of 512 that overlap by a quarter, batches of 4, one thread; each from a uint8 array (H, W, 3) to
uint8 labels (H, W). The ways alternate; after one round to warm up the medians count, of time and of processor time.
Before that, their scores are compared where all three are set to average alike. ``--light``: one 1x1 convolution for
the model, so that little but the tiling is measured. ``--memory``: the peak of each instead, in processes of their own.

Needs ``monai`` and ``terratorch``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from prediction import Memory, Waves

import smp_core
from smp_predict import Window, predict

TILE, STRIDE, BATCH = 512, 384, 4

Net = Callable[[torch.Tensor], torch.Tensor]
Way = Callable[[Net, np.ndarray, bool], torch.Tensor]


def ours(net: Net, image: np.ndarray, average: bool, output: str = "labels") -> torch.Tensor:
    options = {"tile": TILE, "overlap": 1 - STRIDE / TILE, "batch_size": BATCH}
    blend = "constant" if average else "gaussian"
    return torch.from_numpy(predict(net, image, blend=blend, output=output, **options))


def monai(net: Net, image: np.ndarray, average: bool) -> torch.Tensor:
    from monai.inferers import sliding_window_inference

    mode = "constant" if average else "gaussian"
    with torch.inference_mode():
        return sliding_window_inference(
            _tensor(image), TILE, BATCH, net, overlap=1 - STRIDE / TILE, mode=mode, sigma_scale=0.125
        )


def terratorch(net: Net, image: np.ndarray, average: bool) -> torch.Tensor:
    from terratorch.tasks.tiled_inference import tiled_inference

    options = {"crop": TILE, "stride": STRIDE, "batch_size": BATCH}
    with torch.inference_mode():
        # Its own defaults crop 8 pixels of each tile, and pad by as many: that makes other tiles than the others'.
        return tiled_inference(
            net, _tensor(image), delta=0, padding=False, average_patches=True, blend_overlaps=not average, **options
        )


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


PEERS: dict[str, Way] = {"MONAI": monai, "terratorch": terratorch}


def labels(way: str, net: Net, image: np.ndarray) -> torch.Tensor:
    """(H, W) uint8."""
    if way == "smp-predict":
        return ours(net, image, average=False)
    return PEERS[way](net, image, False)[0].argmax(dim=0).to(torch.uint8)


def alone(net: Net, side: int) -> None:
    """The model on as many batches of tiles as the image has, in memory."""
    count = (1 + (side - TILE) // STRIDE) ** 2
    with torch.inference_mode():
        for first in range(0, count, BATCH):
            net(torch.zeros(min(BATCH, count - first), 3, TILE, TILE))


def model(light: bool, classes: int) -> torch.nn.Module:
    torch.manual_seed(0)
    if light:
        return torch.nn.Conv2d(3, classes, 1).eval()
    return smp_core.create("unet", "mobilenet_v2", encoder_weights=None, classes=classes).eval()


def agreement(net: Net) -> None:
    """Print how far the peers' scores and labels are from ours."""
    image = Waves(1280).read(Window(0, 0, 1280, 1280))
    for average in (True, False):
        mine = ours(net, image, average, "scores").permute(2, 0, 1)
        for name, way in PEERS.items():
            theirs = way(net, image, average)[0]
            apart = (mine - theirs).abs().max() / theirs.std()
            same = (mine.argmax(dim=0) == theirs.argmax(dim=0)).float().mean()
            how = "all averaged alike" if average else "each its own weights"
            share = f"{100 * same:.3f} % of the labels the same"
            print(f"{how}, {name}: scores {apart:.1e} of their deviation apart, {share}")


def times(net: Net, side: int, rounds: int) -> None:
    """Print the medians of all ways, and ours over theirs."""
    image = Waves(side).read(Window(0, 0, side, side))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ("smp-predict", *PEERS, "the model alone")}
    for number in range(rounds + 1):
        for name, values in found.items():
            began, processor = time.perf_counter(), time.process_time()
            if name == "the model alone":
                alone(net, side)
            else:
                labels(name, net, image)
            if number:
                values.append((time.perf_counter() - began, time.process_time() - processor))
    print(f"| {side:,}² | s | processor s | times as long as ours | processor time |\n|---|---|---|---|---|")
    for name, values in found.items():
        wall, processor = (statistics.median(column) for column in zip(*values, strict=True))
        ratios = [
            statistics.median(theirs[k] / mine[k] for theirs, mine in zip(values, found["smp-predict"], strict=True))
            for k in (0, 1)
        ]
        print(f"| {name} | {wall:.2f} | {processor:.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


def memory(options: list[str], side: int) -> None:
    """Print what each way takes above what was there with its image, at its peak."""
    print(f"| {side:,}² | peak, MB |\n|---|---|")
    for name in ("smp-predict", *PEERS):
        command = [sys.executable, __file__, "--measure", name, "--side", str(side), *options]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        print(f"| {name} | {json.loads(output.splitlines()[-1]):,.0f} |", flush=True)


def measure(name: str, net: Net, side: int) -> None:
    image = Waves(side).read(Window(0, 0, side, side))
    labels(name, net, image[:TILE, : 2 * TILE])  # imports what it needs
    with Memory() as watched:
        before = watched.peak["RssAnon"]
        labels(name, net, image)
    print(json.dumps(watched.peak["RssAnon"] - before))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--light", action="store_true", help="a 1x1 convolution for the model")
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--side", type=int, default=2048, help="of the image: 512 and a multiple of 384")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", action="store_true", help="peak memory instead of time")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if (arguments.side - TILE) % STRIDE:
        parser.error(f"the tiles of all three are the same only on sides of {TILE} + n x {STRIDE}")
    torch.set_num_threads(1)
    net = model(arguments.light, arguments.classes)
    if arguments.measure:
        measure(arguments.measure, net, arguments.side)
    elif arguments.memory:
        options = ["--classes", str(arguments.classes), *(["--light"] if arguments.light else [])]
        memory(options, arguments.side)
    else:
        agreement(net)
        times(net, arguments.side, arguments.rounds)


if __name__ == "__main__":
    main()
