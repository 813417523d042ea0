"""How long a saved model takes to load, beside segmentation_models_pytorch and beside reading the bytes of its file.

Run: ``python benchmarks/loading.py [--rounds 9]``. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load, load_file

import smp_core

# The second has as many parameters as a DPT over ViT-Base, whose encoder is not among those of the torch-only plugins.
_MODELS = {"Unet/resnet34": ("unet", "resnet34"), "MAnet/resnet50": ("manet", "resnet50")}


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call()
    return time.perf_counter() - start


def measure(folder: str, rounds: int) -> dict[str, list[float]]:
    """Times of each way to load, alternating; the first round warms the disk cache."""
    file = Path(folder) / "model.safetensors"
    ways: dict[str, Callable[[], object]] = {
        "smp_core.from_pretrained": lambda: smp_core.from_pretrained(folder),
        "smp.from_pretrained": lambda: smp.from_pretrained(folder),
        "bytes into tensors": lambda: load(file.read_bytes()),
        "bytes mapped": lambda: load_file(file),
    }
    times: dict[str, list[float]] = {title: [] for title in ways}
    for number in range(rounds + 1):
        for title, call in ways.items():
            taken = seconds(call)
            if number:
                times[title].append(taken)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.2f}")
    for title, (arch, encoder) in _MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            model = smp_core.create(arch, encoder, encoder_weights=None)
            saving = seconds(lambda model=model, folder=folder: model.save_pretrained(folder))
            size = (Path(folder) / "model.safetensors").stat().st_size
            times = measure(folder, arguments.rounds)
        ours = times["smp_core.from_pretrained"]
        print(f"{title}: {size / 1e6:.0f} MB, saved in {1e3 * saving:.0f} ms")
        for name, taken in times.items():
            ratios = [there / here for there, here in zip(taken, ours, strict=True)]
            print(f"  {name:<26} {1e3 * statistics.median(taken):7.1f} ms, {statistics.median(ratios):6.2f} of ours")


if __name__ == "__main__":
    main()
