"""The stages of a timm model, and which of its parameters are not decayed.

A pyramid's stages are found by what each of its features is made with. timm's own groups would not do: there are as
many as the family has blocks of layers, whichever of these are features.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from timm.models import group_parameters
from torch import Tensor, nn

from smp_timm import keys


def stage_modules(encoder: Any) -> list[list[str]]:
    """Names of modules and parameters, stem first.

    Args:
        encoder: over a timm model. A pyramid has a stage for each feature that is not the image; a plain transformer
            one for the stem and one for each block, as timm groups its parameters.
    """
    stage_of = _by_blocks(encoder) if getattr(encoder, "tokens", False) else _by_features(encoder)
    own = dict(encoder.named_parameters())
    numbers = _filled([stage_of.get(keys.plain(name)) for name in own])
    assigned = dict(zip(map(id, own.values()), numbers, strict=True))  # some models use a layer in several places
    return [_collapsed(encoder, assigned, number) for number in sorted({*numbers})]


def _by_blocks(encoder: Any) -> Mapping[str, int]:
    """The number of the group that timm puts each parameter of a whole model into, by its plain name."""
    model = keys.whole(encoder)
    matcher: Any = getattr(model, "group_matcher", None)
    if matcher is None:
        return {}
    takes_coarse = "coarse" in inspect.signature(matcher).parameters
    groups = group_parameters(model, matcher(coarse=False) if takes_coarse else matcher())
    return {keys.plain(name): number for number, names in groups.items() for name in names}


def _by_features(encoder: Any) -> Mapping[str, int]:
    """The number of the first feature that is made with each parameter, by its plain name."""
    model = keys.built_by_timm(encoder).eval()
    with torch.device("meta"), torch.enable_grad():
        features: list[Tensor] = model(encoder.any_image())
    found: dict[int, int] = {}
    for number, feature in enumerate(features):
        for parameter in _behind(feature):
            found.setdefault(parameter, number)
    named = ((keys.plain(name), found.get(id(item))) for name, item in model.named_parameters())
    return {name: number for name, number in named if number is not None}


def _behind(tensor: Tensor) -> Iterator[int]:
    """Ids of the parameters that a tensor is made with."""
    seen = {tensor.grad_fn}
    pending = [tensor.grad_fn]
    while pending:
        node: Any = pending.pop()
        if hasattr(node, "variable"):
            yield id(node.variable)
        new = {parent for parent, _ in getattr(node, "next_functions", ()) if parent is not None} - seen
        seen |= new
        pending += new


def no_weight_decay(encoder: Any) -> set[str]:
    """Names of the parameters that timm does not decay, beside norms and biases."""
    model = keys.whole(encoder)
    listed: Any = getattr(model, "no_weight_decay", None)
    plain = {keys.plain(name) for name in (listed() if listed is not None else ())}
    return {name for name, _ in encoder.named_parameters() if any(_ends(keys.plain(name), item) for item in plain)}


def _ends(name: str, item: str) -> bool:
    return name == item or name.endswith(f"_{item}")


def _filled(numbers: Iterable[int | None]) -> list[int]:
    """A parameter that nobody grouped belongs with the one before it; the first ones to the stem."""
    filled: list[int] = []
    for number in numbers:
        filled.append(number if number is not None else filled[-1] if filled else 0)
    return filled


def _collapsed(encoder: nn.Module, assigned: Mapping[int, int], number: int) -> list[str]:
    """The largest modules whose parameters are all of a stage, and the parameters that are in none of these."""
    names: list[str] = []
    named: set[int] = set()
    for name, module in encoder.named_modules():
        if name and not any(name.startswith(f"{one}.") for one in names):
            inside = {id(item) for item in module.parameters()}
            if not inside <= named and all(assigned[item] == number for item in inside):
                names.append(name)
                named |= inside
    alone = (key for key, item in encoder.named_parameters() if assigned[id(item)] == number and id(item) not in named)
    return [*names, *alone]
