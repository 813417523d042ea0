"""Comparing two modules of the same weights in one pass: their keys, their outputs, the gradients of their input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Output = Tensor | list[Tensor] | tuple[Tensor, ...]


def image(in_channels: int = 3, size: tuple[int, int] = (64, 64), batch: int = 2) -> Tensor:
    """An input of normally distributed numbers, the same at each call."""
    return torch.randn(batch, in_channels, *size, generator=torch.Generator().manual_seed(2))


def randomise_norms(module: nn.Module, seed: int = 0) -> None:
    """Give every norm statistics and affine parameters that differ from its initial ones, so that they count."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            for name, low, high in (
                ("running_mean", -0.1, 0.1),
                ("running_var", 0.5, 1.5),
                ("weight", 0.5, 1.5),
                ("bias", -0.1, 0.1),
            ):
                tensor = getattr(layer, name, None)
                is_norm = isinstance(layer, (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm))
                if is_norm and isinstance(tensor, Tensor):
                    tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    """Largest absolute difference, relative to the largest absolute value of the reference; 0 for two empty maps."""
    if ours.shape != theirs.shape:
        raise AssertionError(f"shapes differ: ours {tuple(ours.shape)}, the reference's {tuple(theirs.shape)}")
    if not theirs.numel():
        return 0.0
    scale = theirs.abs().max().item() or 1.0
    return (ours - theirs).abs().max().item() / scale


def assert_same_keys(ours: nn.Module, theirs: nn.Module, dropped: Callable[[str], bool] = lambda _: False) -> None:
    """Assert equal state-dict keys, in any order, and equal shapes; ``dropped`` says which of theirs to skip."""
    mine = {key: tuple(value.shape) for key, value in ours.state_dict().items()}
    reference = {key: tuple(value.shape) for key, value in theirs.state_dict().items() if not dropped(key)}
    missing, extra = sorted(reference.keys() - mine.keys()), sorted(mine.keys() - reference.keys())
    assert not [*missing, *extra], f"ours lacks {missing[:5]} and adds {extra[:5]}"
    differing = {key: (mine[key], reference[key]) for key in mine if mine[key] != reference[key]}
    assert not differing, f"shapes differ (ours, the reference's): {dict(list(differing.items())[:5])}"


def assert_same_numbers(ours: nn.Module, theirs: nn.Module, x: Tensor, *, tolerance: float = 1e-5) -> None:
    """Assert equal outputs, within a tolerance relative to the largest value of the reference.

    Args:
        ours, theirs: in the same mode, with the same weights.
        x: the input, (N, C, H, W).
        tolerance: largest relative difference.

    Raises:
        AssertionError: says which output differs, and by how much.
    """
    with torch.no_grad():
        mine, reference = _as_list(ours(x)), _as_list(theirs(x))
    assert len(mine) == len(reference), f"ours has {len(mine)} outputs, the reference {len(reference)}"
    for index, (a, b) in enumerate(zip(mine, reference, strict=True)):
        difference = relative_difference(a, b)
        assert difference <= tolerance, f"output {index} differs by {difference:.2e}, allowed is {tolerance:.0e}"


def assert_same_gradients(ours: nn.Module, theirs: nn.Module, x: Tensor, *, tolerance: float = 1e-8) -> None:
    """Assert equal gradients of the input, computed in float64; both modules stay in float64.

    In float32 the comparison would measure chance: where two orders of summation put a value near zero on either side
    of a ReLU, the gradient there is one or nothing.

    Args:
        ours, theirs, x: as for `assert_same_numbers`.
        tolerance: relative to the largest value of the reference.

    Raises:
        AssertionError: says by how much they differ.
    """
    gradients = []
    for module in (ours, theirs):
        image = x.double().requires_grad_()
        projection = _projection(_as_list(module.double()(image)))
        gradients.append(torch.autograd.grad(projection, image)[0])
    difference = relative_difference(*gradients)
    assert difference <= tolerance, f"the input's gradient differs by {difference:.2e}, allowed is {tolerance:.0e}"


def _as_list(output: Output) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else list(output)


def _projection(outputs: list[Tensor]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    total = torch.zeros((), dtype=torch.float64)
    for output in outputs:
        if output.requires_grad:
            total = total + (output * torch.randn(output.shape, generator=generator).to(output)).mean()
    return total
