"""State dicts of older versions of plugins, in today's spelling; what changed when is data of the specs."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
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


def migrate(
    tensors: Mapping[str, Tensor],
    blueprint: Blueprint,
    details: Mapping[str, Any],
    own: Collection[str],
    *,
    renames_only: bool = False,
) -> dict[str, Tensor]:
    """A whole model's state dict after every migration of its plugins that its recorded versions call for.

    Args:
        tensors: not changed.
        blueprint: of the model that was saved.
        details: what its config records under ``_smp_core``. A version that it does not record is older than any,
            unless the part's keys are today's already.
        own: the keys of the model as it is built today, in every spelling.
        renames_only: whether to leave out what only a plugin's function does.

    Raises:
        PluginError: a plugin's migration fails.
    """
    result = dict(tensors)
    encoder = _ENCODER if blueprint.neck is None else _ENCODER * 2
    for prefix, part in ((encoder, blueprint.encoder), (_NECK, blueprint.neck)):
        if part is not None and part.spec.migrations:
            change = functools.partial(
                _apply, owner=part, details=details, prefix=prefix, own=own, renames_only=renames_only
            )
            result = change_keys_under(prefix, result, change)
    if blueprint.architecture.spec.migrations:
        inside = {key: value for key, value in result.items() if key.startswith(_ENCODER)}
        outside = {key: value for key, value in result.items() if not key.startswith(_ENCODER)}
        changed = _apply(
            outside, owner=blueprint.architecture, details=details, prefix="", own=own, renames_only=renames_only
        )
        result = {**inside, **changed}
    return result


def _apply(
    part: Mapping[str, Tensor],
    *,
    owner: Registered[Any],
    details: Mapping[str, Any],
    prefix: str,
    own: Collection[str],
    renames_only: bool,
) -> dict[str, Tensor]:
    recorded = recorded_version(details, owner.kind)
    result = dict(part)
    if recorded is None and all(prefix + key in own for key in part):
        return result
    for migration in owner.spec.migrations:
        if not is_older(recorded, migration.before):
            continue
        title = f"migration of {owner.title} to {migration.before}"
        for pattern, replacement in migration.renames:
            result = _rename(result, pattern, replacement, title)
        if migration.convert is not None and not renames_only:
            convert = load_target(migration.convert, title)
            try:
                result = dict(convert(result))
            except FAILURES as error:
                raise PluginError(f"{title}: it raised {type(error).__name__}: {error}") from error
    return result


def _rename(part: Mapping[str, Tensor], pattern: str, replacement: str, title: str) -> dict[str, Tensor]:
    result: dict[str, Tensor] = {}
    for key, value in part.items():
        name = re.sub(pattern, replacement, key)
        if name in result:
            raise PluginError(f"{title}: {pattern!r} gives two parameters the name {name!r}")
        result[name] = value
    return result
