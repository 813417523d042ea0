"""Building modules without filling their parameters, because something else will fill them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_FILLING = frozenset(
    {
        *(getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")),
        *(Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_),
    }
)

# What a truncated normal distribution is made of step by step; without memory these change nothing.
_SHAPING = frozenset({Tensor.erfinv_, Tensor.mul_, Tensor.add_, Tensor.clamp_})


class NoFilling(TorchFunctionMode):
    """A context in which nothing fills a tensor in place.

    Layers initialise their parameters when they are built. Where another initialisation follows, or the tensors of a
    file, that takes time for nothing: drawing 21 million numbers for the convolutions of resnet34, say.

    Args:
        only_meta: skip only what would fill tensors without memory. There it is written in Python, and takes longer
            than to fill the memory that is not there.
    """

    def __init__(self, *, only_meta: bool = False) -> None:
        super().__init__()
        self.only_meta = only_meta

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """See `torch.overrides.TorchFunctionMode`."""
        if func in _FILLING:
            tensor = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(tensor, Tensor) and (tensor.is_meta or not self.only_meta):
                return tensor
        if self.only_meta and func in _SHAPING and args and isinstance(args[0], Tensor) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))
