"""Models that tests of surgery operate on, and their results by calling every part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import smp_core
from smp_core.plugin import EncoderSpec
from smp_core.registry import Registered, resolve_encoder

ARCHITECTURES = tuple(name for name in smp_core.list_architectures() if name != "dpt")


def smallest_of_each_distribution() -> list[str]:
    """The encoder with the fewest parameters of each distribution that lists some."""
    smallest: dict[str, Registered[EncoderSpec]] = {}
    for name in smp_core.list_encoders():
        found = resolve_encoder(name)
        known = smallest.get(found.distribution)
        if known is None or (found.spec.num_parameters or 0) < (known.spec.num_parameters or 0):
            smallest[found.distribution] = found
    return [found.spec.name for found in smallest.values()]


def build(architecture: str, encoder: str = "resnet18", **options: object) -> smp_core.SegmentationModel:
    torch.manual_seed(0)
    model = smp_core.create(architecture, encoder, encoder_weights=None, classes=2, **options)
    for module in model.modules():  # statistics and scales that are not what initialisation makes them
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return model.eval()


def image(size: tuple[int, int] = (64, 96), channels: int = 3) -> Tensor:
    return torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(0))


@contextmanager
def watched(model: nn.Module) -> Iterator[list[str]]:
    """While it lasts every module has a hook, so that none may be bypassed; the names of those that ran."""
    ran: list[str] = []
    handles = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name)) for name, module in model.named_modules()
    ]
    yield ran
    for handle in handles:
        handle.remove()


def called(model: nn.Module, x: Tensor) -> Tensor:
    """The model's result by calling every part."""
    with torch.no_grad(), watched(model):
        result: Tensor = model(x)
    return result


def pruned(model: nn.Module) -> nn.Module:
    """The model, about a fifth of whose weights are zero by `torch.nn.utils.prune`."""
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.weight.numel():
            # A mask of our own: choosing exactly a fifth takes longer than training.
            prune.custom_from_mask(layer, "weight", torch.rand_like(layer.weight) >= 0.2)
    return model


def train(model: nn.Module, x: Tensor, steps: int = 2) -> None:
    model.train()
    optimizer = torch.optim.SGD([item for item in model.parameters() if item.requires_grad], lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    model.eval()
