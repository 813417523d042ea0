"""What holds for every encoder over a timm model, by its name alone."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

import smp_core
from smp_core import registry
from smp_core.parts.assembly import assemble_empty, build_encoder
from smp_core.parts.emptiness import without_memory


def structure(name: str) -> None:
    """At every depth, and at every output stride, what is built is what is declared; without memory."""
    encoder = registry.resolve_encoder(name)
    spec = encoder.spec
    with without_memory():
        for depth in range(spec.min_depth, spec.max_depth + 1) if not spec.tokens else (1, spec.max_depth):
            build_encoder(encoder, in_channels=3, depth=depth)
        for stride in spec.dilation:
            module = build_encoder(encoder, in_channels=3, depth=spec.max_depth, output_stride=stride)
            assert max(module.reductions) == stride
        if dict(spec.options)["any_channels"]:
            build_encoder(encoder, in_channels=4, depth=spec.max_depth)


def features(module: Any, x: Tensor) -> list[Tensor]:
    """Those of a pyramid, or of a plain transformer without its prefix tokens."""
    output = module(x)
    return output[0] if getattr(module, "tokens", False) else output


def true_to_declaration(module: Any, height: int, width: int, in_channels: int = 3) -> None:
    """The features of an image are as large as the reductions say."""
    with torch.no_grad():
        found = [tuple(item.shape) for item in features(module, torch.randn(1, in_channels, height, width))]
    wanted = [
        (1, channels, math.ceil(height / reduction), math.ceil(width / reduction))
        for channels, reduction in zip(module.out_channels, module.reductions, strict=True)
    ]
    assert found == wanted, (found, wanted)


def trains(name: str, arch: str = "unet", size: tuple[int, int] = (83, 101)) -> list[str]:
    """One training step; the names of the encoder's parameters that got no gradient."""
    model = smp_core.create(arch, name, encoder_weights=None, classes=2)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-2)
    x = torch.randn(2, 3, *size)
    loss = model(x).square().mean()
    loss.backward()
    assert torch.isfinite(loss)
    optimiser.step()
    assert any(not torch.equal(before[key], value) for key, value in model.named_parameters())
    return [key for key, value in model.encoder.named_parameters() if value.grad is None]


def assembles(blueprint: Any) -> None:
    """The model of a blueprint can be built; no memory is taken."""
    assemble_empty(blueprint)
