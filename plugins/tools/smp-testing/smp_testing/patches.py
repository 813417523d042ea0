"""Functions that a plugin may have replaced: those of torch, and Python's own."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import nn

Names: TypeAlias = "dict[Any, dict[str, Any]]"
"""What the names of modules and classes stand for, by these."""

_MODULES = (builtins, torch, torch.nn, torch.nn.functional, torch.nn.init, torch.linalg)
_CLASSES = (
    torch.Tensor,
    nn.Parameter,
    *(value for value in vars(torch.nn).values() if isinstance(value, type) and issubclass(value, nn.Module)),
)
_OWNERS = tuple(dict.fromkeys((*_MODULES, *_CLASSES)))
_MISSING = object()
# By torch itself, beside the default dtype, which is looked at by itself.
_SET_BY_TORCH = ((torch, "Storage"),)


def names() -> Names:
    """What each name stands for now. Copied whole, which takes a fraction of a millisecond."""
    return {owner: dict(vars(owner)) for owner in _OWNERS}


def replaced(before: Names, after: Names) -> list[str]:
    """The functions and classes that another stands for now; a new name harms nobody, unless it covers another."""
    return [_shown(owner, name) for owner, name in _replaced(before, after)]


def put_back(before: Names) -> None:
    """Let each function and class stand for what it stood for."""
    for owner, name in _replaced(before, names()):
        if name in before[owner]:
            setattr(owner, name, before[owner][name])
        else:
            delattr(owner, name)


def _replaced(before: Names, after: Names) -> list[tuple[Any, str]]:
    found: list[tuple[Any, str]] = []
    for owner, new in after.items():
        old = before[owner]
        if not _same(old, new):
            found += [(owner, name) for name in {**old, **new} if _is_replaced(owner, name, old, new)]
    return found


def _same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return len(old) == len(new) and all(old.get(name, _MISSING) is value for name, value in new.items())


def _is_replaced(owner: Any, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    one, other = old.get(name, _MISSING), new.get(name, _MISSING)
    if one is other or (owner, name) in _SET_BY_TORCH:
        return False
    if one is _MISSING:
        return isinstance(owner, type) and callable(other) and any(hasattr(base, name) for base in owner.__bases__)
    return callable(one) or isinstance(one, (classmethod, staticmethod, property))


def _shown(owner: Any, name: str) -> str:
    module = f"{owner.__module__}." if isinstance(owner, type) else ""
    return f"{module}{owner.__name__}.{name}"
