"""Finding the entry points of plugins in the metadata of installed distributions; nothing of a plugin is imported.

The folders of ``sys.path`` are searched here: importing `importlib.metadata` takes longer than finding and loading a
dozen plugins. It is asked where anything else may provide distributions: a zip file, an egg, a finder of somebody's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from smp_core._specs.registered import normalise
from smp_core.plugin import ENTRY_POINT_GROUP

# The finders of distributions that search sys.path as this module does: Python's, and that of its backport.
_SEARCHERS = ("_frozen_importlib_external", "importlib_metadata")


class Found(NamedTuple):
    """An entry point and whose it is; ``problem`` says what is wrong with the metadata, where something is."""

    distribution: str
    version: str
    entry_point: str
    module: str
    problem: str | None = None


class _Distribution(Protocol):
    def read_text(self, filename: str) -> str | None: ...


def find_plugins() -> list[Found]:
    """Every entry point of the group, in the order of distribution names."""
    found: dict[tuple[str, str], Found] = {}
    for item in _find():
        # An interrupted update leaves a distribution's metadata behind twice: the same module of it counts once.
        found.setdefault((normalise(item.distribution), item.module), item)
    return sorted(found.values(), key=lambda item: (normalise(item.distribution), item.entry_point))


def _find() -> Iterator[Found]:
    seen = set()
    for name, distribution in _from_folders() if _are_folders(sys.path) else _from_library():
        # A distribution in an earlier folder of sys.path hides one of the same name in a later one.
        if name not in seen:
            seen.add(name)
            yield from _find_in(distribution)


def _are_folders(paths: Iterable[str]) -> bool:
    """Whether nothing but folders can provide distributions."""
    for finder in sys.meta_path:
        if hasattr(finder, "find_distributions"):
            module = getattr(finder, "__module__", "") or ""
            if module.partition(".")[0] not in _SEARCHERS:
                return False
    return not any(path.endswith(".egg") or os.path.isfile(path) for path in paths)


class _Folder:
    """A folder of metadata, read as `importlib.metadata` reads it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def read_text(self, filename: str) -> str | None:
        try:
            with open(os.path.join(self._path, filename), encoding="utf-8") as file:
                return file.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
            return None


def _from_folders() -> Iterator[tuple[str, _Distribution]]:
    for path in dict.fromkeys(path or os.curdir for path in sys.path):
        try:
            names = os.listdir(path)
        except OSError:
            continue  # sys.path may name what is not there
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() in (".dist-info", ".egg-info"):
                yield normalise(stem.partition("-")[0]), _Folder(os.path.join(path, name))


def _from_library() -> Iterator[tuple[str, _Distribution]]:
    import importlib.metadata

    for index, distribution in enumerate(importlib.metadata.distributions()):
        try:
            name = distribution.metadata["Name"]
        except Exception:  # metadata that cannot be read is said where it is a plugin's
            name = None
        yield normalise(name) if name else f"{index}", distribution


def _find_in(distribution: _Distribution) -> Iterator[Found]:
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except Exception:  # not even text: nothing says that it is a plugin
        return
    if f"[{ENTRY_POINT_GROUP}\n" in text:
        problem = f"its entry_points.txt is malformed: '[{ENTRY_POINT_GROUP}' has no end; reinstall or uninstall it"
        yield _identify(distribution, "", "unknown")._replace(problem=problem)
    section = ""
    for line in map(str.strip, text.splitlines() if f"[{ENTRY_POINT_GROUP}]" in text else ()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif section == ENTRY_POINT_GROUP and line and not line.startswith("#"):
            entry_point, separator, module = line.partition("=")
            if separator:
                yield _identify(distribution, entry_point.strip(), module.strip())
            else:
                problem = f"its entry_points.txt is malformed: {line!r} is not of the form 'name = module'"
                yield _identify(distribution, "", "unknown")._replace(problem=f"{problem}; reinstall or uninstall it")


def _identify(distribution: _Distribution, entry_point: str, module: str) -> Found:
    """Read name and version from the head of the metadata.

    ``Distribution.name`` and ``.version`` each send the whole file through the email parser, description included.
    """
    problem = "its metadata does not name the distribution: the installation is incomplete; reinstall or uninstall it"
    text = ""
    try:
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
