"""Finding the entry points of plugins in the metadata of installed distributions; nothing of a plugin is imported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import importlib_metadata

from smp_core._specs.registered import normalise
from smp_core.plugin import ENTRY_POINT_GROUP


class Found(NamedTuple):
    """An entry point and whose it is; ``problem`` says what is wrong with the metadata, where something is."""

    distribution: str
    version: str
    entry_point: str
    module: str
    problem: str | None = None


def find_plugins() -> list[Found]:
    """Every entry point of the group, in the order of distribution names."""
    found: dict[tuple[str, str], Found] = {}
    for item in _find():
        # An interrupted update leaves a distribution's metadata behind twice: the same module of it counts once.
        found.setdefault((normalise(item.distribution), item.module), item)
    return sorted(found.values(), key=lambda item: (normalise(item.distribution), item.entry_point))


def _find() -> Iterable[Found]:
    try:
        entry_points = list(importlib_metadata.entry_points(group=ENTRY_POINT_GROUP))
    except Exception:
        # One malformed entry_points.txt, whosever it is, takes the call down: ask one distribution after the other.
        for distribution in importlib_metadata.distributions():
            yield from _find_in(distribution)
    else:
        for entry_point in entry_points:
            yield _identify(entry_point.dist, entry_point.name, entry_point.value)


def _find_in(distribution: Any) -> Iterable[Found]:
    try:
        entry_points = list(distribution.entry_points.select(group=ENTRY_POINT_GROUP))
    except Exception as error:
        try:
            text = distribution.read_text("entry_points.txt") or ""
        except Exception:  # not even text: nothing says that it is a plugin
            return
        if f"[{ENTRY_POINT_GROUP}]" in text:
            problem = f"its entry_points.txt is malformed ({type(error).__name__}: {error}); reinstall or uninstall it"
            yield _identify(distribution, "", "unknown")._replace(problem=problem)
        return
    for entry_point in entry_points:
        yield _identify(distribution, entry_point.name, entry_point.value)


def _identify(distribution: Any, entry_point: str, module: str) -> Found:
    """Read name and version from the head of the metadata.

    ``Distribution.name`` and ``.version`` each send the whole file through the email parser, description included.
    """
    problem = "its metadata does not name the distribution: the installation is incomplete; reinstall or uninstall it"
    text = ""
    try:
        if distribution is not None:
            text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    except Exception as error:
        problem = f"its metadata cannot be read ({type(error).__name__}: {error}); reinstall or uninstall it"
    head: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        head.setdefault(key.lower(), value.strip())
    name, version = head.get("name"), head.get("version", "unknown")
    if name:
        return Found(name, version, entry_point, module)
    return Found(entry_point, version, entry_point, module, problem)
