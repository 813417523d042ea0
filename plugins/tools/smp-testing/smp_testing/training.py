"""What a training step of a built module is, for the checks that compare two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from smp_testing.expectations import expect, expect_equal

# Of the largest gradient, in double precision.
_SAME_GRADIENT = 1e-8


def loss_of(outputs: Sequence[Tensor]) -> Tensor:
    """A number that depends on every output that requires a gradient."""
    return torch.stack([item.square().mean() for item in outputs if item.requires_grad]).sum()


def gradients_of(module: nn.Module) -> dict[str, Tensor]:
    """The gradients that a module's parameters have, by name."""
    return {name: item.grad for name, item in module.named_parameters() if item.grad is not None}


def without_dropout(module: nn.Module) -> nn.Module:
    """The module, whose dropout drops nothing: what is dropped depends on the layout in memory, for the same seed."""
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.p = 0.0
    return module


def expect_same_gradients(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    """Raise `ConformanceError` unless the same parameters have the same gradients, but for rounding in float64."""
    expect_equal(sorted(found), sorted(expected), f"{what}: parameters with a gradient")
    filled = {name: gradient for name, gradient in expected.items() if gradient.numel()}
    largest = max((gradient.abs().max().item() for gradient in filled.values()), default=0.0)
    for name, gradient in filled.items():
        difference = (found[name] - gradient).abs().max().item()
        expect(
            difference <= _SAME_GRADIENT * largest,
            f"{what}: the gradient of {name} differs by {difference:.3g}, expected at most {_SAME_GRADIENT:g} of the "
            f"largest gradient, {largest:.3g}",
        )
