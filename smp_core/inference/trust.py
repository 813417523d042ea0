"""Whether a module still is what its class says."""

from __future__ import annotations

import torch
from torch import nn


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
