"""Building modules without memory: on the meta device, and without the initialisation that could fill nothing there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# On the meta device these are written in Python, and take longer than to fill the memory that is not there.
_FILLING = frozenset(
    {
        *(getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")),
        *(Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_),
    }
)


class _NoFilling(TorchFunctionMode):
    """Skips whatever fills a tensor that has no memory."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in _FILLING:
            tensor = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Tensors that are made in this context have no memory, and nothing is spent on their initialisation."""
    with torch.device("meta"), _NoFilling():
        yield
