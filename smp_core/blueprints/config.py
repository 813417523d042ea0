"""Reading a config: which parts its names mean, and what it asks of them.

Names resolve through the registry alone; nothing named in a config is imported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from smp_core._specs.registered import Registered
from smp_core.blueprints import versions
from smp_core.blueprints.drafting import Parts, draft
from smp_core.blueprints.request import Request
from smp_core.errors import CheckpointError, RegistryError
from smp_core.inputs import Preprocessing
from smp_core.plugin import ArchitectureSpec
from smp_core.sources.weights import Chosen

_OF_ENCODER = ("encoder_depth", "encoder_output_stride", "encoder_output_indices")
_OF_REQUEST = ("in_channels", "classes", "activation", "aux_params", *_OF_ENCODER)
_OTHERS = ("_model_class", "_smp_core", "encoder_name", "encoder_weights")


def read(config: Mapping[str, Any], *, encoder: Any, title: str) -> dict[str, Any]:
    """The fields of the blueprint that a config describes; see `smp_core.Blueprint.from_config`."""
    if not isinstance(config, Mapping) or not isinstance(config.get("_model_class"), str):
        raise CheckpointError(f"{title} has no '_model_class': not written by save_pretrained")
    details = _details(config, title)
    parts = _parts(config, details, encoder)
    versions.compare(details, (parts.architecture, parts.encoder, parts.neck))
    result = draft(parts, _request(config, details, is_module=parts.encoder is None), saved=True)
    started_from = config.get("encoder_weights")
    result["weights"] = Chosen(started_from) if isinstance(started_from, str) else None
    return result


def _details(config: Mapping[str, Any], title: str) -> dict[str, Any]:
    details = config.get("_smp_core") or {}
    parts = ("architecture", "encoder", "neck", "preprocessing")
    if not isinstance(details, dict) or not all(isinstance(details.get(part) or {}, dict) for part in parts):
        raise CheckpointError(f"{title} is damaged: '_smp_core' and what it holds must be objects")
    if details.get("preprocessing"):
        try:
            Preprocessing.from_dict(details["preprocessing"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{title} is damaged: its preprocessing has a wrong or missing value ({type(error).__name__}: {error})"
            ) from error
    return details


def _parts(config: Mapping[str, Any], details: Mapping[str, Any], encoder: Any) -> Parts:
    # Not above: a model imports this module, and need not wait for the discovery of plugins.
    from smp_core.registry import find_class, resolve_architecture, resolve_encoder, resolve_neck

    recorded = details.get("architecture") or {}
    with _naming(recorded):
        architecture: Registered[ArchitectureSpec] = (
            resolve_architecture(recorded["name"]) if recorded.get("name") else find_class(config["_model_class"])
        )
    name, recorded = config.get("encoder_name"), details.get("encoder") or {}
    if encoder is None and name is None:
        raise CheckpointError("this model was created over a module, not a named encoder: pass it as encoder=")
    found = None
    if encoder is None:
        with _naming(recorded):
            found = resolve_encoder(recorded.get("name") or name)  # type: ignore[arg-type]
    neck, recorded = None, details.get("neck") or {}
    if recorded:
        with _naming(recorded):
            neck = resolve_neck(recorded.get("name"))  # type: ignore[arg-type]  # it says what it expects
    return Parts(architecture=architecture, encoder=found, neck=neck, written={}, module=encoder)


@contextlib.contextmanager
def _naming(recorded: Mapping[str, Any]) -> Iterator[None]:
    """Begin the registry's error, which says what to install, with what the file says about the plugin."""
    try:
        yield
    except RegistryError as error:
        if not recorded:
            raise
        name, who, version = (recorded.get(key) for key in ("name", "distribution", "version"))
        raise type(error)(f"this model was saved with {name!r} of {who!r} {version}: {error}") from error


def _request(config: Mapping[str, Any], details: Mapping[str, Any], *, is_module: bool) -> Request:
    asked = {key: config[key] for key in _OF_REQUEST if key in config and not (is_module and key in _OF_ENCODER)}
    options = {key: value for key, value in config.items() if key not in (*_OF_REQUEST, *_OTHERS)}
    return Request(
        encoder_weights=None,
        preprocessing=details.get("preprocessing") or None,
        channel_fitting=details.get("channel_fitting") or "smp",
        **asked,
        options=options,
    )
