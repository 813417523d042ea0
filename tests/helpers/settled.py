"""Models whose norms are as after training, so that a norm that is lost or applied twice shows."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import smp_core


def settle(model: nn.Module, seed: int = 1) -> nn.Module:
    """Give every batch norm statistics and parameters of its own, in place; evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            if module.weight is not None:
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
                module.bias.data.normal_(0, 0.2, generator=generator)
    return model.eval()


def with_part(*parts: nn.Module, **options: Any) -> smp_core.SegmentationModel:
    """A Unet of three classes in float64, settled, with modules behind its head; ``options`` are those of `create`."""
    torch.manual_seed(0)
    model = smp_core.create("unet", "resnet18", encoder_weights=None, classes=3, **options)
    model.segmentation_head = nn.Sequential(model.segmentation_head, *parts)
    settle(model)
    return model.double().eval()


def num_norms(model: nn.Module) -> int:
    """How many batch norms there are."""
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def furthest(got: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, as a part of the largest value."""
    assert got.shape == expected.shape, (got.shape, expected.shape)
    return float((got.double() - expected.double()).abs().max() / expected.double().abs().max())
