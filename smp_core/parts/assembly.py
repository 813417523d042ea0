"""From a blueprint to built parts: encoder, neck, and the architecture over them. No tensor is read here."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from torch import nn

from smp_core._specs.checks import thawed
from smp_core._specs.registered import Registered
from smp_core.blueprints.compatibility import neck_levels
from smp_core.blueprints.value import Blueprint
from smp_core.encoder import EncoderWithNeck, check_encoder
from smp_core.errors import EncoderProtocolError, PluginError
from smp_core.parts.emptiness import parameters_without_memory, without_memory
from smp_core.parts.targets import check_call, load_target, options_of
from smp_core.plugin import ArchitectureSpec, EncoderSpec


def assemble(
    blueprint: Blueprint,
    encoder: nn.Module | None = None,
    *,
    context: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    on_encoder: Callable[[nn.Module], None] | None = None,
) -> nn.Module:
    """Build what a blueprint describes, with random parameters.

    Args:
        blueprint: what to build.
        encoder: the built encoder, where the blueprint names none.
        context: in which the parts are built: `smp_core.parts.emptiness`, or nothing. The modules of plugins are
            imported outside of it, as they may make tensors of their own.
        on_encoder: told of the encoder that the blueprint names when it is built, before any other part is.

    Raises:
        PluginError: a plugin's implementation does not import, or does not build what its spec declares.
        OptionError: an option has a value that its part cannot take.
    """
    architecture = blueprint.architecture
    target = load_target(architecture.spec.target, architecture.title)
    _check_options(architecture, target)
    arguments: dict[str, Any] = {
        "classes": blueprint.classes,
        "activation": blueprint.activation,
        "aux_params": copy.deepcopy(thawed(blueprint.aux_params)),
        **copy.deepcopy(thawed(blueprint.options)),
        **copy.deepcopy(thawed(architecture.spec.arguments)),
    }
    if encoder is None:
        assert blueprint.encoder is not None
        load_target(blueprint.encoder.spec.target, blueprint.encoder.title)
    if blueprint.neck is not None:
        load_target(blueprint.neck.spec.target, blueprint.neck.title)
    with context():
        if encoder is None:
            assert blueprint.encoder is not None
            encoder = build_encoder(
                blueprint.encoder,
                in_channels=blueprint.in_channels,
                depth=blueprint.depth,
                output_stride=blueprint.output_stride if blueprint.neck is None else None,
                output_indices=blueprint.output_indices,
                options=blueprint.encoder_options,
            )
            if on_encoder is not None:
                on_encoder(encoder)
        if blueprint.neck is not None:
            encoder = _with_neck(encoder, blueprint)
        check_call(target, architecture.title, arguments, encoder)
        model: nn.Module = target(encoder, **arguments)
    return model


def assemble_empty(blueprint: Blueprint, encoder: nn.Module | None = None) -> nn.Module:
    """Build what a blueprint describes without memory for its parameters, where that can be done.

    A constructor that looks into its tensors (``linspace(...).tolist()``) cannot be run on the meta device, where they
    have no values. Such a model is built with memory for what it computes, its parameters still without, so that their
    shapes can be compared before any memory is taken; only where that fails, too, with random parameters.
    """
    for context in (without_memory, parameters_without_memory):
        try:
            return assemble(blueprint, encoder, context=context)
        except RuntimeError as error:  # noqa: PERF203  # of two rounds
            # Anything else would fail again, only after the memory was taken.
            if not isinstance(error, NotImplementedError) and "meta" not in str(error).lower():
                raise
    return assemble(blueprint, encoder)


def _check_options(architecture: Registered[ArchitectureSpec], target: Any) -> None:
    """Compare the options that a spec declares with those that its target has."""
    declared, actual = architecture.spec.options, options_of(target, architecture.title, architecture.spec.arguments)
    if declared is not None and dict(declared) != actual:
        wrong = sorted(
            name
            for name in declared.keys() | actual.keys()
            if name not in declared or name not in actual or declared[name] != actual[name]
        )
        raise PluginError(
            f"{architecture.title}: its spec declares other options than its target has: "
            + "; ".join(
                f"{name} ({_default(declared, name)} declared, {_default(actual, name)} in the target)"
                for name in wrong
            )
        )


def _default(options: Mapping[str, Any], name: str) -> str:
    return repr(options[name]) if name in options else "nothing"


def build_encoder(
    encoder: Registered[EncoderSpec],
    *,
    in_channels: int,
    depth: int,
    output_stride: int | None = None,
    output_indices: tuple[int, ...] | None = None,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build a registered encoder with random parameters, and compare it with its spec."""
    spec, title = encoder.spec, encoder.title
    target = load_target(spec.target, title)
    stride = output_stride if spec.dilates(depth, output_stride) else 32  # not asked of one too shallow to be dilated
    asked: dict[str, Any] = {"in_channels": in_channels, "depth": depth, "output_stride": stride}
    arguments = copy.deepcopy(dict(spec.options)) | copy.deepcopy(thawed(dict(options or {}))) | asked
    if output_indices is not None:
        arguments["output_indices"] = output_indices
    check_call(target, title, arguments)
    module: nn.Module = target(**arguments)
    _check_protocol(module, title)
    channels, reductions = spec.features_at_depth(depth)
    if not spec.tokens:
        reductions = tuple(min(item, output_stride or item) for item in reductions)
    if reductions[0] == 1 and not getattr(module, "full_resolution", False):
        channels = (in_channels, *channels[1:])
    built = (tuple(module.out_channels), tuple(module.reductions))  # type: ignore[arg-type]
    if built != (channels, reductions):
        raise PluginError(
            f"{title}: at depth {depth} its spec declares out_channels {channels} and reductions {reductions}, "
            f"but the built module has {built[0]} and {built[1]}"
        )
    return module


def _with_neck(encoder: nn.Module, blueprint: Blueprint) -> nn.Module:
    neck = blueprint.neck
    assert neck is not None
    target = load_target(neck.spec.target, neck.title)
    arguments = copy.deepcopy(dict(neck.spec.options)) | {
        "out_channels": tuple(encoder.out_channels),  # type: ignore[arg-type]
        "reductions": tuple(encoder.reductions),  # type: ignore[arg-type]
        "tokens": bool(getattr(encoder, "tokens", False)),
    }
    levels = neck_levels(blueprint.architecture.spec, neck.spec, blueprint.output_stride)
    if levels != neck.spec.reductions:
        arguments["output_stride"] = levels[-1]
    check_call(target, neck.title, arguments)
    module: nn.Module = target(**arguments)
    _check_protocol(module, neck.title)
    built = tuple(module.reductions)  # type: ignore[arg-type]
    if built != levels:
        raise PluginError(f"{neck.title}: its spec declares reductions {levels}, but the built module has {built}")
    return EncoderWithNeck(encoder, module)


def _check_protocol(module: nn.Module, title: str) -> None:
    try:
        check_encoder(module)
    except EncoderProtocolError as error:
        raise PluginError(f"{title}: {error}") from error
