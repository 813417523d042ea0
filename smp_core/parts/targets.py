"""Importing what a spec names as ``"package.module:attribute"``, and what it can be called with."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Container, Mapping
from typing import Any

from smp_core.errors import FAILURES, PluginError

# What the core passes to every architecture by itself; the rest of the target's keywords are its options.
_COMMON = ("classes", "activation", "aux_params")


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


def options_of(target: Callable[..., Any], title: str, given: Container[str] = ()) -> dict[str, Any]:
    """Names and defaults of an architecture's options, read off the signature of its target.

    Args:
        target: the class.
        title: whose it is, for the error.
        given: names of keywords that its spec gives a value for, which are no options.

    Raises:
        PluginError: it takes ``**keywords``, so that wrong options would pass.
    """
    parameters = list(inspect.signature(target).parameters.values())[1:]
    sinks = [item.name for item in parameters if item.kind is inspect.Parameter.VAR_KEYWORD]
    if sinks:
        raise PluginError(
            f"{title}: its target takes **{sinks[0]}, so that wrong options would pass; name them instead"
        )
    return {item.name: item.default for item in parameters if item.name not in _COMMON and item.name not in given}


def check_call(target: Callable[..., Any], title: str, arguments: Mapping[str, Any], *first: Any) -> None:
    """Tell a plugin whose target has the wrong parameters from an error inside of it.

    Args:
        target: what is about to be called.
        title: whose it is, for the error.
        arguments: its keyword arguments.
        first: its positional argument, an encoder, where it takes one.

    Raises:
        PluginError: it cannot be called so.
    """
    try:
        signature = inspect.signature(target)
    except ValueError:  # not written in Python
        return
    try:
        signature.bind(*first, **arguments)
    except TypeError as error:
        given = f"{'an encoder and ' if first else ''}the keywords {', '.join(arguments)}"
        raise PluginError(f"{title}: its target cannot be called with {given}: {error}") from error
