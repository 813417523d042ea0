"""Reading a config: which parts its names mean, and what it asks of them.

Names resolve through the registry alone; nothing named in a config is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from smp_core._specs.checks import shown
from smp_core._specs.chosen import Chosen
from smp_core.blueprints import versions
from smp_core.blueprints.drafting import Parts, draft
from smp_core.blueprints.request import Request
from smp_core.errors import CheckpointError
from smp_core.inputs import Preprocessing

_OF_ENCODER = ("encoder_depth", "encoder_output_stride", "encoder_output_indices")
_OF_REQUEST = ("in_channels", "classes", "activation", "aux_params", *_OF_ENCODER)
_OTHERS = ("_model_class", "_smp_core", "encoder_name", "encoder_weights")

_RECORDS = {
    "distribution": re.compile(r"[A-Za-z0-9._-]{1,100}"),
    "version": re.compile(r"[A-Za-z0-9.+!_-]{1,100}"),
    "name": re.compile(r"[A-Za-z0-9._+:/-]{1,200}"),
}


def read(config: Mapping[str, Any], *, encoder: Any, title: str) -> dict[str, Any]:
    """The fields of the blueprint that a config describes; see `smp_core.Blueprint.from_config`."""
    # Not above: a model imports this module, and need not wait for the discovery of plugins.
    from smp_core.registry import resolve_saved

    if not isinstance(config, Mapping) or not isinstance(config.get("_model_class"), str):
        raise CheckpointError(f"{title} has no '_model_class': not written by save_pretrained")
    details = _details(config, title)
    name = None if encoder is not None else config.get("encoder_name")
    if encoder is None and name is None and "architecture" not in details:  # all that we or SMP write name one of these
        raise CheckpointError(
            f"{title} names no encoder: where {shown(config['_model_class'])} is a class of your own, its "
            "from_pretrained loads it; where the model was created over a module, pass that as encoder="
        )
    if encoder is None and name is None:
        raise CheckpointError("this model was created over a module, not a named encoder: pass it as encoder=")
    request = _request(config, details, is_module=name is None)
    found = resolve_saved(config["_model_class"], name, details)
    versions.check_names(config, details, found.architecture, found.encoder, title)
    versions.compare(details, (found.architecture, found.encoder, found.neck))
    parts = Parts(**found._asdict(), written={}, module=encoder)
    started_from = config.get("encoder_weights")
    weights = Chosen(started_from) if isinstance(started_from, str) else None
    return draft(parts, request, saved=True) | {"weights": weights}


def _details(config: Mapping[str, Any], title: str) -> dict[str, Any]:
    details = config.get("_smp_core") or {}
    parts = ("architecture", "encoder", "neck", "preprocessing", "encoder_options")
    if not isinstance(details, dict) or not all(isinstance(details.get(part) or {}, dict) for part in parts):
        raise CheckpointError(f"{title} is damaged: '_smp_core' and what it holds must be objects")
    for part in ("architecture", "encoder", "neck"):
        wrong = [(key, value) for key, value in (details.get(part) or {}).items() if not _is_record(key, value)]
        if wrong:
            key, value = wrong[0]
            raise CheckpointError(f"{title} is damaged: '_smp_core' records {shown(value)} as the {key} of its {part}")
    if details.get("neck") and not details["neck"].get("name"):
        raise CheckpointError(f"{title} is damaged: it records a neck without its name")
    if details.get("preprocessing"):
        try:
            Preprocessing.from_dict(details["preprocessing"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{title} is damaged: its preprocessing has a wrong or missing value ({type(error).__name__}: {error})"
            ) from error
    return details


def _is_record(key: str, value: object) -> bool:
    """Whether a value may be the distribution, version or name of a part; other keys are a newer version's."""
    form = _RECORDS.get(key)
    return form is None or not isinstance(value, str) or not value or form.fullmatch(value) is not None


def _request(config: Mapping[str, Any], details: Mapping[str, Any], *, is_module: bool) -> Request:
    asked = {key: config[key] for key in _OF_REQUEST if key in config and not (is_module and key in _OF_ENCODER)}
    options = {key: value for key, value in config.items() if key not in (*_OF_REQUEST, *_OTHERS)}
    return Request(
        encoder_weights=None,
        preprocessing=details.get("preprocessing") or None,
        channel_fitting=details.get("channel_fitting") or "smp",
        bands=details.get("bands"),
        encoder_options=details.get("encoder_options") or None,
        **asked,
        options=options,
        given=frozenset(config),
    )
