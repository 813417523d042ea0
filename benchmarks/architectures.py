"""Every architecture against segmentation_models_pytorch: the same weights, one run, alternating.

Prints, per architecture over resnet34 (DPT: over the peer's ViT-Tiny), the median of the ratio peer / ours for a
forward pass in evaluation mode (above 1 is faster), and for Unet also a training step and the bytes that autograd keeps
for the backward pass.

    python benchmarks/architectures.py [--size 512] [--rounds 9] [NAME ...]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
import warnings
from collections.abc import Callable

import segmentation_models_pytorch as peer
import torch
from counting import saved_bytes
from torch import Tensor, nn

import smp_core
from smp_core.registry import describe

Step = Callable[[], object]


def seconds(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def ratio(ours: Step, theirs: Step, rounds: int) -> tuple[float, float, float]:
    """Medians of theirs / ours, of ours and of theirs in seconds, alternating, after one round to warm up."""
    pairs = []
    for round_number in range(rounds + 1):
        order = (ours, theirs) if round_number % 2 else (theirs, ours)
        measured = {step: seconds(step) for step in order}
        pairs.append((measured[ours], measured[theirs]))
    pairs = pairs[1:]
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    return statistics.median(b / a for a, b in pairs), medians[0], medians[1]


class PeersTransformer(nn.Module):
    """The peer's own plain transformer, as one of our encoders: for an architecture that needs prefix tokens."""

    tokens = True

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.out_channels = tuple(encoder.out_channels)  # type: ignore[arg-type]
        self.reductions = (encoder.output_stride,) * len(self.out_channels)

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        features: tuple[list[Tensor], list[Tensor]] = self.encoder(x)
        return features


def build(name: str) -> tuple[nn.Module, nn.Module]:
    """Our model and the peer's over resnet34, or over the peer's ViT-Tiny, with the same weights."""
    torch.manual_seed(0)
    if describe(name).spec.tokens:
        theirs = peer.DPT("tu-vit_tiny_patch16_224", encoder_weights=None, dynamic_img_size=True)
        ours = smp_core.create(name, PeersTransformer(theirs.encoder), encoder_weights=None)
        ours.decoder.load_state_dict(theirs.decoder.state_dict())
        ours.segmentation_head.load_state_dict(theirs.segmentation_head.state_dict())
        return ours, theirs
    theirs = getattr(peer, describe(name).spec.class_name)("resnet34", encoder_weights=None)
    ours = smp_core.create(name, "resnet34", encoder_weights=None)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def forward(model: nn.Module, x: Tensor) -> Step:
    model.eval()

    def step() -> None:
        with torch.inference_mode():
            model(x)

    return step


def training_step(model: nn.Module, x: Tensor) -> Step:
    model.train()

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model(x).square().mean().backward()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="architectures; by default all")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    names = arguments.names or smp_core.list_architectures()
    x = torch.randn(1, 3, arguments.size, arguments.size)
    print(f"{torch.get_num_threads()} threads, {arguments.size}x{arguments.size}, float32, {arguments.rounds} rounds")
    ratios = []
    for name in names:
        ours, theirs = build(name)
        value, a, b = ratio(forward(ours, x), forward(theirs, x), arguments.rounds)
        ratios.append(value)
        print(f"{name:16} forward  {value:5.2f}x   ours {a * 1000:7.1f} ms   peer {b * 1000:7.1f} ms", flush=True)
        if name == "unet":
            value, a, b = ratio(training_step(ours, x), training_step(theirs, x), arguments.rounds)
            print(f"{name:16} training {value:5.2f}x   ours {a * 1000:7.1f} ms   peer {b * 1000:7.1f} ms", flush=True)
            kept = [saved_bytes(model, x) for model in (ours, theirs)]
            print(f"{name:16} kept for backward: {kept[0] / kept[1]:.2f} of {kept[1] / 2**20:.0f} MiB", flush=True)
    print(f"geometric mean   forward  {math.exp(statistics.fmean(map(math.log, ratios))):5.2f}x")


if __name__ == "__main__":
    main()
