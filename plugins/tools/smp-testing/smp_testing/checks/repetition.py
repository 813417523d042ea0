"""Checks that a module is a function of its input and its state: called again, built again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from smp_testing.cases import ModuleCase, perturb
from smp_testing.expectations import contained, expect, some

# Of the largest magnitude; the same sums in the same order.
_SAME = 1e-5


def repeats_itself(case: ModuleCase) -> None:
    """In evaluation mode an image gives the same at each call, the first one included, and of a module built again."""
    module, x = _settled_anew(case), case.image()
    with torch.no_grad():
        first, second, third = (_copied(case.run(module, x.clone())) for _ in range(3))
        one, other = first, _copied(case.run(case.settled(), x.clone()))
        if not _agree(one, other):  # building the first one may have imported modules that draw random numbers, once
            one, other = other, _copied(case.run(_settled_anew(case), x.clone()))
    what = f"{case.name}: in evaluation mode"
    expect(
        _agree(second, third),
        f"{what} two calls for the same image give different results; expected the same",
        hint="dropout and noise belong into training: nn.Dropout(p), or F.dropout(x, p, training=self.training)",
    )
    expect(
        _agree(first, second),
        f"{what} the first call gives another result than the second for the same image; expected the same",
        hint="what the first call makes or counts must not show in results: make it in __init__, or at each call",
    )
    expect(
        _agree(one, other),
        f"{what} a second module, built of the same seed, gives another result; expected the same",
        hint="keep nothing that changes in the module that the class is of, such as a count of what was built",
    )


def _settled_anew(case: ModuleCase) -> nn.Module:
    """As `ModuleCase.settled`, never called before."""
    module = case.build()
    perturb(module)
    return module.eval()


def _copied(outputs: Sequence[Tensor]) -> list[Tensor]:
    return [item.clone() for item in outputs]


def _agree(outputs: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    if [item.shape for item in outputs] != [item.shape for item in others]:
        return False
    for one, other in zip(outputs, others, strict=True):
        if one.numel() and not (one - other).abs().max() <= _SAME * other.abs().max():
            return False
    return True


def models_share_nothing(case: ModuleCase) -> None:
    """Two modules, built one after the other, have no parameter and no saved buffer in common."""
    with contained() as raised:  # that it cannot be built, and why, is what other checks say
        one, other = case.build_cheaply(), case.build_cheaply()
    if raised:
        return
    held = {*map(_place, _saved(one).values())}
    shared = [name for name, tensor in _saved(other).items() if _place(tensor) in held]
    expect(
        not shared,
        f"{case.name}: two models share {some(shared)}; expected each to have its own, as training one changes the "
        "other",
        hint="make parameters and layers in __init__, at each call of it: no lru_cache, no layer at the top of a file",
    )


def _saved(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.state_dict(keep_vars=True))


def _place(tensor: Tensor) -> tuple[str, int]:
    """What two tensors have in common that are one, or of one memory."""
    start = 0 if tensor.is_meta or not tensor.numel() else tensor.data_ptr()
    return ("memory", start) if start else ("object", id(tensor))
