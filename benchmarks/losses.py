"""The losses against those of segmentation_models_pytorch: forward plus backward, and the most memory that they take.

Prints, per loss, the median over the rounds of the ratio peer / ours (above 1 is faster) for one forward and backward
pass in multiclass mode, and the ratio ours / peer of peak extra memory (below 1 is smaller). Ours and theirs
alternate, and which goes first alternates; one round to warm up is thrown away. Processor time is measured, not the
clock, so that other programs disturb little; with one thread the two are the same on an idle machine.

Memory is counted by torch.profiler: every allocation and release of the CPU allocator between the beginning of the
forward pass and the end of the backward pass, as a running sum that starts at 0; its highest value is the peak. The
logits, their labels and whatever else was there before are not in it; the gradient of the logits is.

    python benchmarks/losses.py [--size 256] [--classes 19] [--batch 4] [--rounds 9] [--ignore 255] [NAME ...]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable

# The profiler complains of absent GPUs otherwise; to be said before torch is imported.
os.environ.setdefault("KINETO_LOG_LEVEL", "5")

import segmentation_models_pytorch as peer
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import smp_losses

NAMES = ("DiceLoss", "JaccardLoss", "TverskyLoss", "FocalLoss", "LovaszLoss", "SoftCrossEntropyLoss")


def step_of(loss: nn.Module, logits: Tensor, labels: Tensor) -> Callable[[], None]:
    def step() -> None:
        logits.grad = None
        loss(logits, labels).backward()

    return step


def seconds(step: Callable[[], None]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def speed(ours: Callable[[], None], theirs: Callable[[], None], rounds: int) -> tuple[float, float, float]:
    """Medians of theirs / ours, of ours and of theirs in seconds."""
    pairs = []
    for number in range(rounds + 1):
        order = (ours, theirs) if number % 2 else (theirs, ours)
        measured = {step: seconds(step) for step in order}
        pairs.append((measured[ours], measured[theirs]))
    pairs = pairs[1:]
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    return statistics.median(b / a for a, b in pairs), medians[0], medians[1]


def peak_bytes(step: Callable[[], None], logits: Tensor) -> int:
    """The most bytes that a step holds beyond those held before it."""
    logits.grad = None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    # Raw records of the allocator, in order of time; positive for an allocation, negative for a release.
    changes = [
        (event.start_ns(), event.nbytes())
        for event in record.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    held = peak = 0
    for _, change in sorted(changes, key=lambda item: item[0]):
        held += change
        peak = max(peak, held)
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, help="losses; by default all that have a multiclass mode")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--ignore", type=int, default=None, help="ignore this label, which a tenth of the pixels has")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    n, classes, size = arguments.batch, arguments.classes, arguments.size
    logits = (torch.randn(n, classes, size, size) * 3).requires_grad_()
    labels = torch.randint(0, classes, (n, size, size))
    if arguments.ignore is not None:
        labels[torch.rand(labels.shape) < 0.1] = arguments.ignore
    print(f"1 thread, {n}x{classes}x{size}x{size}, float32, ignore_index={arguments.ignore}, {arguments.rounds} rounds")
    for name in arguments.names or NAMES:
        options = {"ignore_index": arguments.ignore}
        # The peer's does not work with its defaults.
        options |= {"smooth_factor": 0.1} if name == "SoftCrossEntropyLoss" else {"mode": "multiclass"}
        ours, theirs = (
            step_of(getattr(module, name)(**options), logits, labels) for module in (smp_losses, peer.losses)
        )
        value, a, b = speed(ours, theirs, arguments.rounds)
        held = [peak_bytes(step, logits) for step in (ours, theirs)]
        print(
            f"{name:21} {value:5.2f}x   ours {a * 1000:7.1f} ms   peer {b * 1000:7.1f} ms   "
            f"memory {held[0] / held[1]:.2f} of {held[1] / 2**20:.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
