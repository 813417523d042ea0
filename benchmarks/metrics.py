"""get_stats against that of segmentation_models_pytorch: processor time, one thread.

Prints per case the median over the rounds of the ratio peer / ours (above 1 is faster). Ours and theirs alternate, and
which goes first alternates; one round to warm up is thrown away. Processor time is measured, not the clock, so that
other programs disturb little; with one thread the two are the same on an idle machine. Predictions are right for six
pixels in ten, and random otherwise; labels are random, which is the worst case for the processor's caches.

    python benchmarks/metrics.py [--size 512] [--batch 16] [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import segmentation_models_pytorch as peer
import torch
from torch import Tensor

import smp_metrics

Call = Callable[[], object]


def labels(shape: tuple[int, ...], classes: int) -> tuple[Tensor, Tensor]:
    target = torch.randint(0, classes, shape)
    return torch.where(torch.rand(shape) < 0.6, target, torch.randint(0, classes, shape)), target


def cases(batch: int, size: int) -> Iterator[tuple[str, tuple[Tensor, Tensor, str], dict[str, object]]]:
    shape = (batch, size, size)
    for classes in (19, 150):
        output, target = labels(shape, classes)
        yield f"multiclass, {classes} classes", (output, target, "multiclass"), {"num_classes": classes}
        ignoring = target.masked_fill(torch.rand(shape) < 0.1, 255)
        options = {"num_classes": classes, "ignore_index": 255}
        yield f"multiclass, {classes} classes, tenth ignored", (output, ignoring, "multiclass"), options
    _, target = labels((batch, 1, size, size), 2)
    yield "binary, threshold", (torch.rand(target.shape), target, "binary"), {"threshold": 0.5}
    _, target = labels((batch, 5, size // 2, size // 2), 2)
    yield "multilabel, 5 classes, half the size", (torch.rand(target.shape), target, "multilabel"), {"threshold": 0.5}


def seconds(call: Call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def speed(ours: Call, theirs: Call, rounds: int) -> tuple[float, float, float]:
    """Medians of theirs / ours, of ours and of theirs in seconds."""
    pairs = []
    for number in range(rounds + 1):
        order = (ours, theirs) if number % 2 else (theirs, ours)
        measured = {call: seconds(call) for call in order}
        pairs.append((measured[ours], measured[theirs]))
    pairs = pairs[1:]
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    return statistics.median(b / a for a, b in pairs), medians[0], medians[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"1 thread, {arguments.batch} images of {arguments.size}x{arguments.size}, {arguments.rounds} rounds")
    for name, inputs, options in cases(arguments.batch, arguments.size):
        ours, theirs = (partial(module.get_stats, *inputs, **options) for module in (smp_metrics, peer.metrics))
        for a, b in zip(ours(), theirs(), strict=True):
            assert torch.equal(a, b), name
        value, a, b = speed(ours, theirs, arguments.rounds)
        print(f"{name:37} {value:5.2f}x   ours {a * 1000:6.1f} ms   peer {b * 1000:6.1f} ms", flush=True)


if __name__ == "__main__":
    main()
