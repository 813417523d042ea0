"""Which blueprint rebuilds a model as it is now, after whatever its user did to its parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from smp_core._warnings import warn
from smp_core.blueprints.value import Blueprint
from smp_core.encoder import channels_of
from smp_core.errors import CheckpointError
from smp_core.layers.activation import bare, build_activation
from smp_core.options import ACTIVATIONS
from smp_core.parts.assembly import assemble_empty
from smp_core.tensors.fitting import listed
from smp_core.tensors.spelling import encoder_of


def what_rebuilds(model: nn.Module) -> Blueprint:
    """The blueprint from which a loaded model will be built.

    That is the model's own, unless its head or its first convolution was replaced by one of other channels: then one
    with these. Layers that differ in type or attributes, but not in their parameters, cannot be written down: a warning
    lists them.

    Args:
        model: an `smp_core.SegmentationModel`.

    Raises:
        CheckpointError: smp_core did not build the model, or its parameters are not those of any such blueprint.
    """
    blueprint: Blueprint | None = getattr(model, "blueprint", None)
    if blueprint is None:
        raise CheckpointError(
            f"this {type(model).__name__} was not built by smp_core.create, so its config is unknown and nothing could "
            "load it back; build it with smp_core.create, or save model.state_dict() yourself"
        )
    skipped = "encoder" if blueprint.encoder is None else None
    twin = _twin(model, blueprint)
    wrong, other = list(other_tensors(model, twin)), list(_other_layers(model, twin, skipped))
    changed = _as_it_is(model, blueprint) if wrong or other else blueprint
    if changed != blueprint:
        twin = _twin(model, changed)
        if not any(other_tensors(model, twin)):
            blueprint, wrong, other = changed, [], list(_other_layers(model, twin, skipped))
    if wrong:
        raise CheckpointError(
            "the model is no longer what its blueprint builds, so that nothing could load it back: "
            f"{listed(wrong, '; ')}. Undo that (torch.nn.utils.prune.remove for pruned layers, "
            "torch.nn.utils.parametrize.remove_parametrizations for parametrised ones, model.encoder._orig_mod or "
            ".module for a wrapped part; of a head, replace only segmentation_head[0]), or save model.state_dict() "
            "yourself"
        )
    if other:
        warn(
            "these layers are not what the model was built with, and the loaded model will have the latter: "
            f"{listed(other, '; ')}",
            UserWarning,
        )
    return blueprint


def _twin(model: nn.Module, blueprint: Blueprint) -> nn.Module:
    """What the blueprint builds, without memory."""
    encoder = encoder_of(model)[0] if blueprint.encoder is None else None
    with torch.random.fork_rng(devices=[]):  # it may need values, and must not change what the user draws next
        return assemble_empty(blueprint, encoder)


def other_tensors(model: nn.Module, twin: nn.Module) -> Iterator[str]:
    """Every difference between two state dicts, in words."""
    found, expected = model.state_dict(), twin.state_dict()
    for key in dict.fromkeys((*found, *expected)):
        here = tuple(found[key].shape) if key in found else None
        there = tuple(expected[key].shape) if key in expected else None
        if here != there:
            yield f"{key} is {'gone' if here is None else here}, {'nothing' if there is None else there} was built"
        elif found[key].is_floating_point() != expected[key].is_floating_point():
            yield f"{key} is {found[key].dtype}, {expected[key].dtype} was built"


def _other_layers(model: nn.Module, twin: nn.Module, skipped: str | None) -> Iterator[str]:
    """Every layer of another type, or with other attributes, in words."""
    built = dict(twin.named_modules())
    passed = [] if skipped is None else [f"{skipped}."]
    for name, module in model.named_modules():
        if f"{name}.".startswith(tuple(passed)):
            continue
        if bare(module) is not module:
            module = bare(module)  # compared in place of what only keeps it
            passed.append(f"{name}.activation.")
        if not name and type(module).forward is type(twin).forward:
            continue  # a subclass of the model that computes the same
        if name not in built:
            yield f"{name} ({type(module).__name__}) was added"
        elif type(module) is not type(built[name]):
            yield f"{name} is a {type(module).__name__}, was a {type(built[name]).__name__}"
        elif module.extra_repr() != built[name].extra_repr():
            yield f"{name} is {type(module).__name__}({module.extra_repr()}), was ({built[name].extra_repr()})"


def _as_it_is(model: nn.Module, blueprint: Blueprint) -> Blueprint:
    """The blueprint with the channels that the first convolution and the heads have now, and the activation."""
    changes: dict[str, Any] = {}
    in_channels = channels_of(encoder_of(model)[0]) if blueprint.encoder is not None else 0
    if in_channels not in (0, blueprint.in_channels):
        changes["in_channels"] = in_channels
        if blueprint.preprocessing is not None and len(blueprint.preprocessing.mean) != in_channels:
            changes["preprocessing"] = None  # says nothing of other channels
    last = _last(model.segmentation_head, nn.Conv2d)
    if last is not None and last.out_channels != blueprint.classes:
        changes["classes"] = last.out_channels
    linear = _last(getattr(model, "classification_head", None), nn.Linear)
    if linear is not None and blueprint.aux_params is not None:
        changes["aux_params"] = {**blueprint.aux_params, "classes": linear.out_features}
    if getattr(model, "classification_head", None) is None:
        changes["aux_params"] = None
    if not callable(blueprint.activation):
        changes["activation"] = _activation(model, blueprint.activation)
    return dataclasses.replace(blueprint, **changes)


def _activation(model: nn.Module, built: str | None) -> str | None:
    """The activation that the head ends in now: the one that was built, or one of another name."""
    head = model.segmentation_head
    last = list(head.children())[-1:] if isinstance(head, nn.Sequential) else []
    for name in (built, *ACTIVATIONS):
        twin = build_activation(name)
        now = bare(last[0]) if last else None
        if type(now) is type(twin) and now.extra_repr() == twin.extra_repr():
            return name
    return built


def _last(module: Any, kind: type[nn.Module]) -> Any:
    layers = [layer for layer in module.modules() if isinstance(layer, kind)] if isinstance(module, nn.Module) else []
    return layers[-1] if layers else None
