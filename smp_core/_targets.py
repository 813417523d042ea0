"""Importing what a spec names as ``"package.module:attribute"``."""

from __future__ import annotations

import importlib
from typing import Any

from smp_core._discovery import FAILURES
from smp_core.errors import PluginError


def load_target(target: str, owner: str) -> Any:
    """Import a target.

    Args:
        target: ``"package.module:attribute"``.
        owner: whose it is, for the error.

    Raises:
        PluginError: the module does not import, or lacks the attribute.
    """
    module_name, _, attribute = target.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
    except FAILURES as error:
        why = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise PluginError(f"{owner}: cannot import {module_name!r} (target {target!r}): {why}") from error
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise PluginError(f"{owner}: module {module_name!r} has no {attribute!r} (target {target!r})")
        value = getattr(value, part)
    return value
