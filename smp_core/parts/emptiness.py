"""Building modules without memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from smp_core.layers.filling import NoFilling


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Tensors that are made in this context have no memory, and nothing is spent on their initialisation."""
    with torch.device("meta"), NoFilling(only_meta=True):
        yield


@contextlib.contextmanager
def parameters_without_memory() -> Iterator[None]:
    """As `without_memory`, but only of what layers make their parameters of; what is computed has its values.

    For constructors that look into their tensors (``torch.linspace(...).tolist()``).
    """
    with _NoMemory(), NoFilling(only_meta=True):
        yield


class _NoMemory(TorchFunctionMode):
    _OF_PARAMETERS = frozenset({torch.empty, torch.rand, torch.randn})

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = dict(kwargs or {})
        if func in self._OF_PARAMETERS and given.get("out") is None:
            given["device"] = "meta"
        return func(*args, **given)
