"""Comparing a state dict with a module's own: which tensors fit, and which do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from smp_core._warnings import warn
from smp_core.errors import CheckpointError
from smp_core.tensors.spelling import to_own

_SHOWN = 20


@dataclass(frozen=True)
class Difference:
    """How a state dict differs from what a module expects.

    Attributes:
        missing: keys of the module that it lacks.
        unexpected: its keys that the module does not have.
        other_shape: keys of both whose tensors differ in shape.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    other_shape: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.other_shape)


def other_shapes(expected: Mapping[str, Tensor], tensors: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of both whose tensors differ in shape."""
    return tuple(
        key
        for key, tensor in expected.items()
        if isinstance(tensors.get(key), Tensor) and not tensors[key].is_nested and tensors[key].shape != tensor.shape
    )


def load(model: nn.Module, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> Difference:
    """Give a model the tensors of a file themselves, as far as they fit; only a tensor of another dtype is copied.

    Args:
        model: whose parameters are replaced; on the meta device or not.
        tensors: in our spelling or in that of published weights; not changed.
        dtype: of floating-point tensors, where it is not to be the model's own.

    Returns:
        What did not fit, after the model's modules have translated what they know of older spellings.

    Raises:
        CheckpointError: integers where the model has floating-point numbers.
    """
    expected = model.state_dict()
    tensors = to_own(model, tensors)
    other = other_shapes(expected, tensors)
    given = {
        key: _cast(key, tensor, expected[key].dtype, dtype) if key in expected else tensor
        for key, tensor in tensors.items()
        if key not in other
    }
    seen: set[int] = set()
    for key, tensor in given.items():
        if tensor.numel() and tensor.data_ptr() in seen:
            given[key] = tensor.clone()
        seen.add(tensor.data_ptr())
    missing, unexpected = nn.Module.load_state_dict(model, given, strict=False, assign=True)
    return Difference(tuple(key for key in missing if key not in other), tuple(unexpected), other)


def _cast(key: str, tensor: Tensor, expected: torch.dtype, wanted: torch.dtype | None) -> Tensor:
    wrong = unlike(key, tensor, expected)
    if wrong is not None:
        raise CheckpointError(wrong)
    # A buffer that asks for a gradient, as a torch file can hold it, could not be used.
    tensor = tensor.detach().to(wanted if wanted is not None and expected.is_floating_point else expected)
    # What several of its elements, or several parameters, share could not be trained.
    return tensor.contiguous() if 0 in tensor.stride() else tensor


def unlike(key: str, tensor: Tensor, expected: torch.dtype) -> str | None:
    """Why a stored tensor cannot stand for one of a module, whatever their shapes; None where it can."""
    if tensor.is_nested or tensor.is_meta or tensor.layout is not torch.strided:
        kind = "nested" if tensor.is_nested else "meta" if tensor.is_meta else tensor.layout
        return f"{key} is stored as a {kind} tensor; expected values"
    if expected.is_floating_point and not tensor.is_floating_point():
        return f"{key} is stored as {tensor.dtype}; expected floating-point numbers, as {expected}"
    return None


def describe(difference: Difference, expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> str:
    """A difference in words, in torch's order; long lists are cut."""
    parts = []
    if difference.missing:
        parts.append(f"Missing key(s) in state_dict: {listed(map(quoted, difference.missing))}.")
    if difference.unexpected:
        parts.append(f"Unexpected key(s) in state_dict: {listed(map(quoted, difference.unexpected))}.")
    sizes = (
        f"size mismatch for {key}: {tuple(tensors[key].shape)} in the file, {tuple(expected[key].shape)} in the model"
        for key in difference.other_shape
    )
    if difference.other_shape:
        parts.append(f"{listed(sizes, '; ')}.")
    return " ".join(parts)


def quoted(key: str) -> str:
    """A key as torch's own messages show it."""
    return f'"{key}"'


def listed(items: Iterable[str], separator: str = ", ") -> str:
    """A list for people, cut where it is long."""
    items = list(items)
    more = f"{separator}and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return separator.join(items[:_SHOWN]) + more


def has_meta_tensors(model: nn.Module) -> bool:
    """Whether some of its tensors have no memory, those included that no state dict holds."""
    return any(_is_meta(value) for module in model.modules() for value in vars(module).values())


def _is_meta(value: object) -> bool:
    """Parameters and buffers are in dicts among a module's attributes; a plain attribute may hold tensors, too."""
    if isinstance(value, Tensor):
        return value.is_meta
    if isinstance(value, (dict, list, tuple)) and value:
        held = value.values() if isinstance(value, dict) else value
        return any(isinstance(item, Tensor) and item.is_meta for item in held)
    return False


def fitting(model: nn.Module, state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A new state dict without the tensors whose shape the model's own do not have; a warning lists those."""
    expected = model.state_dict()
    tensors = to_own(model, state_dict)
    other = other_shapes(expected, tensors)
    if other:
        sizes = (f"{key} {tuple(tensors[key].shape)} for {tuple(expected[key].shape)}" for key in other)
        warn(f"tensors of other shapes were not loaded: {listed(sizes)}", UserWarning)
    return {key: value for key, value in tensors.items() if key not in other}
