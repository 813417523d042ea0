"""Encoders that a program has put into `smp_compat.encoders.encoders`, and what they are to smp-core."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from smp_compat.encoders._adapting import adapt, is_encoder
from smp_compat.encoders._base import EncoderMixin
from smp_core._specs.checks import NAME_FORM, is_name
from smp_core.errors import FAILURES, OptionError, PluginError
from smp_core.plugin import EncoderSpec, WeightsSpec
from smp_core.registry.index import encoder_owner

entries: dict[str, dict[str, Any]] = {}
"""By name: ``encoder`` (a class), ``params`` (its arguments) and ``pretrained_settings``."""

# What was built to know them, with what the entry held then: a program may change it afterwards. The class is kept as
# itself: one that a notebook's cell defines anew has the same text.
_specs: dict[str, tuple[object, str, EncoderSpec]] = {}


def check_entry(name: object, entry: object) -> dict[str, Any]:
    """What is put under a name, checked as far as that shows without building it.

    Raises:
        OptionError: no such mapping.
    """
    if not is_name(name):
        raise OptionError(f"encoders[{name!r}]: expected {NAME_FORM}")
    owner = encoder_owner(str(name))
    if owner is not None:
        raise OptionError(f"encoders[{name!r}]: the name belongs to {owner}; put yours in under another one")
    if not isinstance(entry, Mapping) or not callable(entry.get("encoder")):
        raise OptionError(
            f"encoders[{name!r}]: expected a dict of 'encoder' (a class), 'params' (its arguments) and "
            f"'pretrained_settings', got {entry!r}"
        )
    for part in ("params", "pretrained_settings"):
        if not isinstance(entry.get(part) or {}, Mapping):
            raise OptionError(f"encoders[{name!r}][{part!r}]: expected a dict, got {entry[part]!r}")
    # The program's own, which it may change afterwards.
    return entry if isinstance(entry, dict) else dict(entry)


def spec_of(name: str) -> EncoderSpec | None:
    """The spec of an entry, of what its class says of itself; None where there is no such entry."""
    entry = entries.get(name) if isinstance(name, str) else None
    if entry is None:
        return None
    kind, held = check_entry(name, entry)["encoder"], repr({key: entry[key] for key in entry if key != "encoder"})
    known = _specs.get(name)
    if known is not None and known[0] is kind and known[1] == held:
        return known[2]
    spec = _spec(name, entry)
    _specs[name] = (kind, held, spec)
    return spec


def _spec(name: str, entry: dict[str, Any]) -> EncoderSpec:
    with torch.random.fork_rng(devices=()):  # what a program draws does not depend on whether we looked before
        encoder = adapt(_build(name, entry, {"depth": 5, "output_stride": 32}), name)
    channels: tuple[int, ...] = tuple(encoder.out_channels)  # type: ignore[arg-type]
    reductions: tuple[int, ...] = tuple(encoder.reductions)  # type: ignore[arg-type]
    weights = {key: WeightsSpec(**settings) for key, value in _settings(entry).items() if (settings := _weights(value))}
    return EncoderSpec(
        name=name,
        target=f"{__name__}:build",
        options={"name": name},
        out_channels=channels,
        reductions=reductions,
        max_depth=max(reductions).bit_length() - 1,
        dilation=(8, 16) if _can_be_dilated(encoder) else (),
        scriptable=False,
        weights=weights,
        default_weights=next(iter(weights), None),
        summary=f"{type(encoder).__name__}, registered by the program",
    )


def _can_be_dilated(encoder: nn.Module) -> bool:
    kind = type(encoder)
    if not issubclass(kind, EncoderMixin):
        return hasattr(kind, "make_dilated")
    return kind.get_stages is not EncoderMixin.get_stages or kind.make_dilated is not EncoderMixin.make_dilated


def _settings(entry: dict[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return entry.get("pretrained_settings") or {}


def _weights(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A weight set as data; empty where its file is behind a URL, which smp-core does not fetch."""
    known = {key: tuple(settings[key]) for key in ("mean", "std", "input_range") if settings.get(key) is not None}
    if "input_range" not in known and max(known.get("mean", ()), default=0) > 1:
        known["input_range"] = (0.0, 255.0)  # without a range, segmentation_models_pytorch leaves bytes as they are
    if settings.get("input_space") is not None:
        known["input_space"] = settings["input_space"]
    if settings.get("repo_id") is not None:
        return {**known, "repo_id": settings["repo_id"], "revision": settings.get("revision")}
    if settings.get("file") is not None:
        return {**known, "file": str(settings["file"])}
    return {}


def _build(name: str, entry: dict[str, Any], arguments: dict[str, Any]) -> nn.Module:
    make: Callable[..., nn.Module] = entry["encoder"]
    params = {**(entry.get("params") or {}), **{key: value for key, value in arguments.items() if _takes(make, key)}}
    try:
        return make(**params)
    except FAILURES as error:
        raise PluginError(f"encoder {name!r}: {make!r} raised {type(error).__name__}: {error}") from error


def _takes(make: Callable[..., Any], argument: str) -> bool:
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):
        return True
    return argument in parameters or any(item.kind is item.VAR_KEYWORD for item in parameters.values())


def build(name: str, *, in_channels: int, depth: int, output_stride: int = 32) -> nn.Module:
    """Build a registered encoder as segmentation_models_pytorch does, and adapt it.

    Raises:
        PluginError: its class fails, or makes something else than an encoder.
    """
    entry = entries[name]
    encoder = _build(name, entry, {"depth": depth, "output_stride": output_stride})
    if is_encoder(encoder) and not isinstance(encoder, EncoderMixin):
        return encoder
    if in_channels != 3:
        encoder.set_in_channels(in_channels, pretrained=False)  # type: ignore[operator]
    dilated = output_stride != 32
    if dilated:
        encoder.make_dilated(output_stride)  # type: ignore[operator]
    return adapt(encoder, name, output_stride if dilated else None)
