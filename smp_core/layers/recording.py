"""Whether a run computes as written, is compiled, or only records a graph that has to hold for every size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy
from torch.nn.modules import module as _modules

# torch before 2.7 cannot tell an export from a compilation.
_is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)

# The transforms of torch.func that are under way; None where there are none.
_transforms = getattr(torch._C._functorch, "peek_interpreter_stack", lambda: None)


def is_proxy(x: object) -> bool:
    """Whether `torch.fx` is tracing symbolically: then this stands for whatever comes, and has no size to ask for."""
    return isinstance(x, Proxy)


def is_recording(x: Tensor) -> bool:
    """Whether this run is a trace or an export, which cannot ask how large a map is.

    Args:
        x: any input of the module that asks; `torch.fx.symbolic_trace` has only that to tell by.
    """
    if not torch.jit.is_scripting():  # TorchScript skips a branch only under this very condition
        return is_proxy(x) or torch.jit.is_tracing() or bool(_is_exporting())
    return False


def is_eager(x: Tensor) -> bool:
    """Whether torch runs the operations as they are written, so that the fastest of equal forms is worth choosing.

    A compiler chooses by itself, a recorded graph keeps the plain form, which every runtime knows, and what
    `torch.func` transforms must not be written into.

    Args:
        x: any input of the module that asks.
    """
    if not torch.jit.is_scripting():
        if is_proxy(x) or torch.jit.is_tracing() or torch.compiler.is_compiling():
            return False
        return _transforms() is None
    return False


def is_transformed() -> bool:
    """Whether a transform of `torch.func` is under way, whose tensors have layouts of their own."""
    return not torch.compiler.is_compiling() and _transforms() is not None


def are_static(*sizes: int) -> bool:
    """Whether a graph that is being compiled is for these sizes alone, so that they may be asked for anything.

    False of symbols, of which each question would be a guard; and before torch 2.8, which cannot tell.
    """
    from torch.fx.experimental import symbolic_shapes  # a compiler has it; it takes a while to import

    if not hasattr(symbolic_shapes, "has_static_value"):
        return False
    return all([symbolic_shapes.has_static_value(size) for size in sizes])  # noqa: C419  # a compiler takes no generator


def may_fuse(x: Tensor) -> bool:
    """Whether a module may compute in another way than by calling its parts, as far as that depends on the run.

    Whether it depends on the parts is for `smp_core.layers.is_stock` to say. A proxy of `torch.fx` stands for whatever
    comes, and the transforms of `torch.func` see no writing in place.

    Args:
        x: any input of the module that asks.
    """
    if not torch.jit.is_scripting():
        if is_proxy(x):
            _note_fast_form(x)
            return False
        if has_global_hooks() or _is_patched():
            return False
        return torch.compiler.is_compiling() or _transforms() is None
    return True


def _note_fast_form(symbol: Any) -> None:
    """Tell whoever follows the calls of a module that this one also computes without calling its parts."""
    note = getattr(symbol.tracer, "note_fast_form", None)
    if note is not None:
        note()


# What calling a convolution or a linear layer runs.
_CALLS = ((nn.Module, "__call__"), (nn.Conv2d, "forward"), (nn.Conv2d, "_conv_forward"), (nn.Linear, "forward"))
_ORIGINAL = [getattr(kind, name) for kind, name in _CALLS]


def _is_patched() -> bool:
    """Whether somebody has exchanged what every call of a layer runs."""
    if torch.compiler.is_compiling():  # which cannot compare functions, and sees through them
        return False
    return [getattr(kind, name) for kind, name in _CALLS] != _ORIGINAL


def has_global_hooks() -> bool:
    """Whether there are hooks on every module there is."""
    return bool(
        _modules._global_forward_hooks
        or _modules._global_forward_pre_hooks
        or _modules._global_backward_hooks
        or _modules._global_backward_pre_hooks
    )
