"""What a recorded run depends on besides its input, compared at each call."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from itertools import chain
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn

from smp_core.layers.forms import overridden

# Of a module: what torch asks for gradients and state dicts alone, or of a hook that is in another dict, too.
_ASIDE = frozenset(
    (
        *("_backward_hooks", "_backward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
        *("_forward_pre_hooks_with_kwargs", "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks"),
        *("_load_state_dict_post_hooks", "_non_persistent_buffers_set"),
    )
)

# What is as good as what is equal to it.
_PLAIN = (bool, int, float, complex, str, bytes, torch.dtype, torch.device)


class Dependence:
    """What a model is at a moment: its modules, their classes, attributes, hooks and tensors, and what is in these.

    Attributes are compared by identity, numbers, texts, and tuples of them by value; lists, sets and dicts in
    attributes by what is in them. Not seen is what lies deeper, in objects that are no modules, and what a ``forward``
    reads elsewhere, in globals. What is written past a weight's version is read by a recorded run, too, but for kernels
    that were computed of it before.
    """

    # Asked before each replay, of thousands of attributes: none of these loops is Python's own.

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._modules = list(model.modules())
        self._kinds = list(map(type, self._modules))
        # Views: they show what their dicts hold now.
        self._held = list(_held_by(self._modules, self._kinds))
        self._sizes = list(map(len, self._held))
        self._filled = [item for item in self._held if item]
        self._values: list[Any] = list(chain.from_iterable(self._filled))
        self._tensors = [item for item in _tensors(model, self._values) if _has_place(item)]
        self._places = [item.data_ptr() for item in self._tensors]
        self._counted = [item for item in self._tensors if not item.is_inference()]
        self._versions = [item._version for item in self._counted]
        self.is_hooked = any(module._forward_hooks or module._forward_pre_hooks for module in self._modules)

    def holds(self, model: nn.Module) -> bool:
        """Whether a model is what it was."""
        if model is not self._model or list(map(type, self._modules)) != self._kinds:
            return False
        if list(map(len, self._held)) != self._sizes or not self._has_its_values():
            return False
        if [item.data_ptr() for item in self._tensors] != self._places:
            return False
        return [item._version for item in self._counted] == self._versions

    def _has_its_values(self) -> bool:
        if all(map(is_, chain.from_iterable(self._filled), self._values)):
            return True
        now: list[Any] = list(chain.from_iterable(self._filled))
        if len(now) != len(self._values) or not all(map(_alike, now, self._values)):
            return False
        self._values = now
        return True


def _held_by(modules: list[nn.Module], kinds: list[type]) -> Iterator[Collection[Any]]:
    """All that modules have: attributes, what is in those that are containers, and the attributes of their classes."""
    for module in modules:
        yield vars(module).values()
        for name, item in vars(module).items():
            if isinstance(item, dict) and name not in _ASIDE:
                yield item.values()
            elif isinstance(item, (list, set)) and name not in _ASIDE:
                yield item
    bases = chain.from_iterable(kind.__mro__[:-1] for kind in kinds)
    for base in dict.fromkeys(bases):
        yield vars(base).values()


def _tensors(model: nn.Module, values: list[Any]) -> list[Tensor]:
    within = chain.from_iterable(item for item in values if isinstance(item, tuple))
    found = chain(model.parameters(), model.buffers(), values, within)
    return list({id(item): item for item in found if isinstance(item, Tensor)}.values())


def _has_place(tensor: Tensor) -> bool:
    try:
        tensor.data_ptr()
    except RuntimeError:  # a sparse one, say, has none
        return False
    return True


def _alike(one: object, other: object) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    return type(one) in _PLAIN and one == other


def settings_of(device: str) -> Hashable:
    """What the caller has set, for a run on a type of device: autocast, forms, precision and determinism."""
    is_cast = torch.is_autocast_enabled(device)
    return (
        torch.get_autocast_dtype(device) if is_cast else None,
        overridden(),
        *_precision(),
        torch.backends.cudnn.enabled,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
    )


def _precision() -> tuple[Hashable, ...]:
    # torch 2.9 has new names, and refuses to answer by the old ones where the new ones were used.
    matmul: Any = torch.backends.cuda.matmul
    conv: Any = getattr(torch.backends.cudnn, "conv", None)
    reduced = matmul.allow_fp16_reduced_precision_reduction, matmul.allow_bf16_reduced_precision_reduction
    if conv is not None and hasattr(conv, "fp32_precision"):
        return matmul.fp32_precision, conv.fp32_precision, reduced
    return matmul.allow_tf32, torch.backends.cudnn.allow_tf32, reduced
