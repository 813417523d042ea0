"""Comparing two modules of the same weights in training, and read from each other's checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import smp_core
from smp_testing.parity.comparison import assert_same_gradients, assert_same_numbers, image, relative_difference

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def assert_same_statistics(
    ours: nn.Module,
    theirs: nn.Module,
    *,
    tolerance: float = 1e-4,
    size: tuple[int, int] = (64, 64),
    same_order: bool = True,
) -> None:
    """Assert that a pass in training mode gives the same outputs and moves the norms' statistics alike.

    The gradients of the input are compared too, so both modules are in float64 and in training mode afterwards.

    Args:
        ours, theirs: with the same weights, and without dropout.
        tolerance: relative, of the outputs and of each statistic, in float32.
        size: of the input; a batch of two images of three channels.
        same_order: the keys, too, come in the reference's order, by which an optimizer's state numbers the parameters.
    """
    x = image(size=size)
    assert_same_numbers(ours.train(), theirs.train(), x, tolerance=tolerance)
    mine, reference = ours.state_dict(), theirs.state_dict()
    if same_order:
        assert list(mine) == [key for key in reference if key in mine], "the keys come in another order"
    moved = [key for key in mine if key.endswith(_STATISTICS)]
    assert moved, "there are no statistics to compare"
    for key in moved:
        difference = relative_difference(mine[key], reference[key])
        assert difference <= tolerance, f"{key} differs by {difference:.2e}, allowed is {tolerance:.0e}"
    assert_same_gradients(ours, theirs, x)


def assert_same_parameter_gradients(
    ours: nn.Module, theirs: nn.Module, *, size: tuple[int, int] = (64, 64), prefix: str = ""
) -> None:
    """Assert equal gradients of every parameter of ours, in evaluation and in training mode, in float64.

    Args:
        ours, theirs: with the same weights, and without dropout; in float64 and in training mode afterwards.
        size: of the input; a batch of two images of three channels.
        prefix: parameters whose names start otherwise are left out.
    """
    names = [name for name, _ in ours.named_parameters() if name.startswith(prefix)]
    assert names, f"no parameter's name starts with {prefix!r}"
    x = image(size=size).double()
    for training in (False, True):
        mine, reference = (_parameter_gradients(model.double().train(training), x, names) for model in (ours, theirs))
        for name, a, b in zip(names, mine, reference, strict=True):
            if training:
                # Before a norm of the batch's statistics a bias has no gradient but the rounding's.
                difference, tolerance = (a - b).abs().max().item() / max(1.0, b.abs().max().item()), 1e-9
            else:
                difference, tolerance = relative_difference(a, b), 1e-8
            assert difference <= tolerance, f"{name}, training {training}: the gradient differs by {difference:.2e}"


def _parameter_gradients(model: nn.Module, x: Tensor, names: list[str]) -> tuple[Tensor, ...]:
    parameters = dict(model.named_parameters())
    return torch.autograd.grad(model(x).square().mean(), [parameters[name] for name in names])


def assert_same_dropout(ours: nn.Module, theirs: nn.Module, *, tolerance: float = 1e-4) -> None:
    """Assert that with the same seed our decoder drops what the reference's drops.

    Args:
        ours, theirs: in evaluation mode, with the same weights and a dropout in ``decoder``, which is on afterwards.
        tolerance: relative, of the outputs in float32.
    """
    x = image()
    outputs = []
    with torch.no_grad():
        kept = ours(x)
        for model in (ours, theirs):
            layers = [layer for layer in model.decoder.modules() if isinstance(layer, nn.modules.dropout._DropoutNd)]  # type: ignore[union-attr]
            assert layers, f"{type(model).__name__} has no dropout in its decoder"
            for layer in layers:
                layer.train()
                # A mask is drawn in the order in which values lie in memory; ours have the channels innermost there.
                layer.register_forward_pre_hook(lambda _, arguments: arguments[0].contiguous())
            torch.manual_seed(3)
            outputs.append(model(x))
    assert relative_difference(outputs[0], kept) > tolerance, "nothing was dropped"
    difference = relative_difference(*outputs)
    assert difference <= tolerance, f"the output differs by {difference:.2e}, allowed is {tolerance:.0e}"


def assert_checkpoints_are_read_both_ways(
    ours: nn.Module,
    theirs: nn.Module,
    x: Tensor,
    folder: Path,
    read: Callable[[str], nn.Module],
    *,
    tolerance: float = 1e-5,
) -> None:
    """Assert that each side builds, from what the other's ``save_pretrained`` wrote, a model of the same outputs.

    Args:
        ours, theirs: in evaluation mode, with the same weights.
        x: an input that both take.
        folder: an empty one, to write into.
        read: the peer's reader of a folder.
        tolerance: absolute and relative, of each score; 0 where a model of the same weights must repeat every bit.
            It need not where matrix products sum in an order that depends on where in memory the weights are.
    """
    theirs.save_pretrained(folder / "theirs")  # type: ignore[operator]
    ours.save_pretrained(folder / "ours")  # type: ignore[operator]
    from_theirs = smp_core.from_pretrained(folder / "theirs").eval()
    from_ours = read(str(folder / "ours")).eval()
    with torch.no_grad():
        for again, model in ((from_theirs, ours), (from_ours, theirs)):
            expected = model(x)
            allowed = tolerance * min(1.0, expected.abs().max().item())
            torch.testing.assert_close(again(x), expected, rtol=tolerance, atol=allowed)
