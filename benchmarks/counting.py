"""What a model asks of a machine, counted: operations, bytes read and written, bytes kept for the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


def operations(model: nn.Module, x: Tensor) -> int:
    """Floating-point operations of a forward pass: the work that is asked for, however it is then done."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(x)
    return int(counter.get_total_flops())


class _Traffic(TorchDispatchMode):
    """Adds up the bytes that operations read and write; what only looks at memory in another way moves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        written = [item for item in tree_leaves(result) if isinstance(item, Tensor)]
        if not all(getattr(item, "_is_view", lambda: False)() for item in written) or not written:
            read = [item for item in tree_leaves((args, kwargs)) if isinstance(item, Tensor)]
            self.bytes += sum(item.numel() * item.element_size() for item in (*read, *written))
        return result


def traffic(model: nn.Module, x: Tensor) -> int:
    """Bytes that the operations of a forward pass read and write, each for itself, as nothing stayed in a cache."""
    with torch.no_grad(), _Traffic() as counter:
        model(x)
    return counter.bytes


def saved_bytes(model: nn.Module, x: Tensor) -> int:
    """Bytes of the distinct tensors that autograd keeps for the backward pass, parameters excepted."""
    model.train()
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(x)
    total = sum(kept.values())
    del output
    return total
