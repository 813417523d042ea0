"""Packages that a format needs and that are not installed."""

from __future__ import annotations

import importlib
from types import ModuleType

from smp_predict.errors import MissingDependencyError


def needed(module: str, extra: str, what: str) -> ModuleType:
    """Import a package.

    Args:
        module: its import name.
        extra: of smp-predict, that installs it.
        what: is read or written with it, for the message.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{what} needs {module.partition('.')[0]}: pip install 'smp-predict[{extra}]' ({error})"
        ) from error
