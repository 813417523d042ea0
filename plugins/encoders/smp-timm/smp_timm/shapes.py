"""Running a model for the shapes of its results alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Functions that change no shape. On the meta device torch computes most of them step by step in Python.
_SHAPE_KEEPING = {
    *(functional.batch_norm, functional.layer_norm, functional.group_norm, functional.instance_norm),
    *(functional.gelu, functional.silu, functional.relu, functional.relu_, functional.relu6, functional.hardswish),
    *(functional.hardsigmoid, functional.leaky_relu, functional.mish, functional.elu, functional.dropout),
    *(functional.softmax, torch.softmax, torch.Tensor.softmax, torch.sigmoid, torch.Tensor.sigmoid),
    *(torch.Tensor.sigmoid_, torch.relu, torch.relu_, functional.rms_norm),
}


class ShapesOnly(TorchFunctionMode):
    """In this context functions that change no shape return what they are given."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _SHAPE_KEEPING and args:
            return args[0]
        if (
            func is functional.scaled_dot_product_attention
            and len(args) >= 3
            and args[0].shape[-1] == args[2].shape[-1]
        ):
            mask = args[3] if len(args) > 3 else (kwargs or {}).get("attn_mask")
            if mask is not None:  # a bias of another size is how a model refuses an image
                torch.broadcast_shapes(mask.shape, (*args[0].shape[:-1], args[1].shape[-2]))
            return args[0]
        if func is functional.linear and len(args) >= 2:
            return args[0].new_empty((*args[0].shape[:-1], args[1].shape[0]))
        return func(*args, **(kwargs or {}))
