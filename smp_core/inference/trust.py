"""Whether a module still is what its class says."""

from __future__ import annotations

from types import CodeType

import torch
from torch import nn

from smp_core.layers.recording import has_global_hooks

# What people exchange for all layers at once: in fake quantisation, tracing and profiling.
_LAYERS: tuple[type[nn.Module], ...] = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
)
_METHODS = ("__call__", "_call_impl", "forward", "_conv_forward")
_TORCHS = [getattr(kind, name, None) for kind in _LAYERS for name in _METHODS]


def layers_are_torchs() -> bool:
    """Whether calling torch's layers runs torch's code, and no hook on all modules sees it."""
    return not has_global_hooks() and [getattr(kind, name, None) for kind in _LAYERS for name in _METHODS] == _TORCHS


def is_as_its_class(module: nn.Module) -> bool:
    """Whether calling a module runs the ``forward`` of its class, and nothing sees the call.

    False where it has hooks, parametrisations of its own, or a method of its own instance; or is a script.
    """
    if isinstance(module, torch.jit.ScriptModule) or "parametrizations" in module._modules:
        return False
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
        return False
    kind = type(module)
    return not any(callable(getattr(kind, name, None)) for name in module.__dict__)


# By these code asks what something is: a symbol is no tensor, and a folded norm no norm.
_QUESTIONS = frozenset({"isinstance", "issubclass", "type", "hasattr", "is_tensor", "__class__"})


def asks_for_classes(kind: type[nn.Module]) -> bool:
    """Whether the ``forward`` of a class asks what its inputs or parts are, so that others may be treated otherwise."""
    pending: list[object] = [getattr(getattr(kind, "forward", None), "__code__", None)]
    while pending:
        code = pending.pop()
        if isinstance(code, CodeType):
            if not _QUESTIONS.isdisjoint(code.co_names):
                return True
            pending += code.co_consts  # lambdas, comprehensions and functions within
    return False


def has_trusted_form(module: nn.Module) -> bool:
    """Whether a module's ``inference_form`` may be asked; see `smp_core.inference.protocol.HasInferenceForm`."""
    if not hasattr(type(module), "inference_form") or not is_as_its_class(module):
        return False
    for kind in type(module).__mro__:
        if "inference_form" in vars(kind):
            return True
        if "forward" in vars(kind):
            return False
    return False
