"""State dicts of older versions of plugins, in today's spelling; what changed when is data of the specs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from smp_core._specs.registered import Registered
from smp_core.blueprints.value import Blueprint
from smp_core.blueprints.versions import is_older, recorded_version
from smp_core.errors import FAILURES, PluginError
from smp_core.parts.targets import load_target
from smp_core.tensors.renaming import change_keys_under

_ENCODER = "encoder."
_NECK = "encoder.neck."


def migrate(tensors: Mapping[str, Tensor], blueprint: Blueprint, details: Mapping[str, Any]) -> dict[str, Tensor]:
    """A whole model's state dict after every migration of its plugins that its recorded versions call for.

    Args:
        tensors: not changed.
        blueprint: of the model that was saved.
        details: what its config records under ``_smp_core``; a version that it does not record is older than any.

    Raises:
        PluginError: a plugin's migration fails.
    """
    result = dict(tensors)
    if not any(part.spec.migrations for part in (blueprint.architecture, blueprint.encoder, blueprint.neck) if part):
        return result
    if blueprint.encoder is not None:
        prefix = _ENCODER if blueprint.neck is None else "encoder.encoder."
        result = change_keys_under(prefix, result, lambda part: _apply(part, blueprint.encoder, details))
    if blueprint.neck is not None:
        result = change_keys_under(_NECK, result, lambda part: _apply(part, blueprint.neck, details))
    inside = {key: value for key, value in result.items() if key.startswith(_ENCODER)}
    outside = {key: value for key, value in result.items() if not key.startswith(_ENCODER)}
    return {**inside, **_apply(outside, blueprint.architecture, details)}


def _apply(part: Mapping[str, Tensor], owner: Registered[Any] | None, details: Mapping[str, Any]) -> dict[str, Tensor]:
    assert owner is not None
    result = dict(part)
    for migration in owner.spec.migrations:
        if not is_older(recorded_version(details, owner.kind), migration.before):
            continue
        for pattern, replacement in migration.renames:
            result = {re.sub(pattern, replacement, key): value for key, value in result.items()}
        if migration.convert is not None:
            title = f"migration of {owner.title} to {migration.before}"
            convert = load_target(migration.convert, title)
            try:
                result = dict(convert(result))
            except FAILURES as error:
                raise PluginError(f"{title}: it raised {type(error).__name__}: {error}") from error
    return result
