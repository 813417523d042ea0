"""Checks of what a constructor leaves behind: parts that torch knows of, in training mode, all of them trainable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from smp_core.parts.emptiness import parameters_without_memory
from smp_testing.cases import ModuleCase
from smp_testing.expectations import expect, some

# Nested lists and dicts that hold layers are no deeper.
_DEPTH = 3


def parts_are_registered(case: ModuleCase) -> None:
    """Every layer and parameter that a module holds is one that torch knows of: none is in a plain list or dict."""
    module = case.build_cheaply()
    known = {id(item) for item in (*module.modules(), *module.parameters())}
    loose = [
        (f"{name}.{attribute}".lstrip("."), container)
        for name, part in module.named_modules()
        for attribute, container in vars(part).items()
        if attribute not in ("_modules", "_parameters", "_buffers")
        for item in _parts_in(container, _DEPTH)
        if id(item) not in known and _matters(item)
    ]
    names = [*dict.fromkeys(f"{name}, a {type(container).__name__}" for name, container in loose)]
    is_mapping = bool(loose) and isinstance(loose[0][1], Mapping)
    layers = "nn.ModuleDict({...})" if is_mapping else "nn.ModuleList([...])"
    parameters = "nn.ParameterDict({...})" if is_mapping else "nn.ParameterList([...])"
    attribute = loose[0][0].rpartition(".")[2] if loose else ""
    expect(
        not names,
        f"{case.name}: torch does not know of the layers or parameters in {some(names)}: they are not saved, not "
        "trained and not moved; expected them to be registered",
        hint=f"self.{attribute} = {layers}, or {parameters} for parameters, in place of a plain container",
    )


def _parts_in(value: Any, depth: int) -> Iterator[nn.Module | nn.Parameter]:
    if isinstance(value, (nn.Module, nn.Parameter)):
        yield value
    elif depth and isinstance(value, Mapping):
        for item in value.values():
            yield from _parts_in(item, depth - 1)
    elif depth and isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _parts_in(item, depth - 1)


def _matters(item: nn.Module | nn.Parameter) -> bool:
    """Whether it holds anything, or does something else in training: a loose ReLU harms nobody."""
    if isinstance(item, nn.Parameter):
        return True
    has_tensors = any(True for _ in item.parameters()) or any(True for _ in item.buffers())
    return has_tensors or any(isinstance(part, nn.modules.dropout._DropoutNd) for part in item.modules())


def builds_ready_to_train(case: ModuleCase) -> None:
    """A new module is in training mode, every part of it, and every parameter is trainable."""
    with parameters_without_memory():
        module = case.make(depth=case.default_depth, output_stride=None, in_channels=3)
    asleep = [name or "the module itself" for name, part in module.named_modules() if not part.training]
    expect(
        not asleep,
        f"{case.name} is built in evaluation mode: {some(asleep)}; expected training mode, as every torch module is "
        "built",
        hint="call no eval() in __init__; what always stays in evaluation mode overrides train()",
    )
    frozen = [name for name, item in module.named_parameters() if not item.requires_grad and item.numel()]
    expect(
        not frozen,
        f"{case.name} is built with frozen parameters: {some(frozen)}; expected all to be trainable: what is frozen is "
        "the user's choice (smp_core.finetuning)",
        hint="register what is never trained as a buffer: self.register_buffer('table', ...); where it is meant, "
        "declare it in smp_conformance",
    )
