"""Which format a file's name has. Formats of plugins are asked for where no format of ours has its extension."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from smp_predict.errors import SourceError, UnknownFormatError
from smp_predict.plugin import Format
from smp_predict.protocols import Result, Source

Writer = Callable[[Path, Result], None]

_GROUP = "smp_predict"
_HERE = "smp_predict.formats"

FORMATS = (
    Format(name="NumPy array", suffixes=(".npy",), reader=f"{_HERE}.npy:NpySource", writer=f"{_HERE}.npy:write"),
    Format(name="PNG", suffixes=(".png",), reader=f"{_HERE}.pictures:open_picture", writer=f"{_HERE}.png:write"),
    Format(
        name="picture",
        suffixes=(".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".pgm", ".ppm"),
        reader=f"{_HERE}.pictures:open_picture",
    ),
    Format(
        name="TIFF", suffixes=(".tif", ".tiff", ".btf"), reader=f"{_HERE}.tiff:open_tiff", writer=f"{_HERE}.tiff:write"
    ),
    Format(name="JPEG 2000", suffixes=(".jp2",), reader=f"{_HERE}.geotiff:GeoTiffSource"),
    Format(name="GeoJSON", suffixes=(".geojson",), writer=f"{_HERE}.geojson:write"),
    Format(name="Zarr", suffixes=(".zarr",), reader=f"{_HERE}.zarrs:ZarrSource", writer=f"{_HERE}.zarrs:write"),
    Format(
        name="OME-Zarr",
        suffixes=(".ome.zarr",),
        reader=f"{_HERE}.zarrs:ZarrSource",
        writer=f"{_HERE}.zarrs:write_ome",
    ),
    Format(
        name="whole-slide image",
        suffixes=(".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".svslide", ".bif"),
        reader=f"{_HERE}.slides:SlideSource",
    ),
)
"""The formats of this package."""


def open_source(path: str | os.PathLike[str]) -> Source:
    """Open an image file by the extension of its name.

    Raises:
        UnknownFormatError: no format has this extension.
        SourceError: there is no such file, or it cannot be read.
        MissingDependencyError: the format needs a package.
    """
    name = os.fspath(path)
    reader = _target(name, "reader")
    if not os.path.exists(name):
        raise SourceError(f"cannot read {name!r}: it does not exist")
    source: Source = reader(name)
    return source


def writer_for(path: str | os.PathLike[str]) -> Writer:
    """What writes a file, by the extension of its name.

    Raises:
        UnknownFormatError: no format that can be written has this extension.
    """
    return _target(os.fspath(path), "writer")


def readable_suffixes() -> tuple[str, ...]:
    """The extensions of images that can be read, those of plugins too."""
    formats = [*FORMATS, *(item for _, item in _of_plugins()[0])]
    return tuple(sorted({suffix for item in formats if item.reader for suffix in item.suffixes}))


def _target(name: str, kind: str) -> Callable[..., Any]:
    # What lies in a store, an array in a group of Zarr, is of the store's format.
    stores = [str(parent) for parent in Path(name).parents] if kind == "reader" else []
    ours = [("smp-predict", item) for item in FORMATS]
    found = _longest(name, ours, kind)
    broken: list[str] = []
    if not found:
        plugins, broken = _of_plugins()
        found = _longest(name, plugins, kind)
        for store in stores:
            found = found or (_longest(store, [*ours, *plugins], kind) if os.path.isdir(store) else [])
    if not found:
        raise UnknownFormatError(_unknown(name, kind, broken))
    if len(found) > 1:
        owners = ", ".join(sorted(owner for owner, _ in found))
        raise UnknownFormatError(f"several plugins have a format for {name!r}: {owners}; keep one of them installed")
    module, _, attribute = str(getattr(found[0][1], kind)).partition(":")
    target: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return target


def _longest(name: str, formats: Sequence[tuple[str, Format]], kind: str) -> list[tuple[str, Format]]:
    lower = name.lower().rstrip("/\\")
    fitting = [
        (len(suffix), owner, item)
        for owner, item in formats
        if getattr(item, kind)
        for suffix in item.suffixes
        if lower.endswith(suffix)
    ]
    most = max((length for length, _, _ in fitting), default=0)
    return [(owner, item) for length, owner, item in fitting if length == most]


def _of_plugins() -> tuple[list[tuple[str, Format]], list[str]]:
    """The formats of plugins with the distributions that have them, and what is wrong with those that have none."""
    found: list[tuple[str, Format]] = []
    broken = []
    for point in entry_points(group=_GROUP):
        owner = point.dist.name if point.dist else point.name
        try:
            found += [(owner, item) for item in _formats(point)]
        except Exception as error:  # a stranger's module: whatever it raises concerns it alone
            broken.append(f"{owner} ({type(error).__name__}: {error})")
    return found, broken


def _formats(point: EntryPoint) -> list[Format]:
    loaded = point.load()
    items = [loaded] if isinstance(loaded, Format) else list(loaded)
    wrong = [item for item in items if not isinstance(item, Format)]
    if wrong:
        raise TypeError(f"{point.value} must be a smp_predict.plugin.Format or several, got {wrong[0]!r}")
    return items


def _unknown(name: str, kind: str, broken: Sequence[str]) -> str:
    known = sorted({suffix for item in FORMATS if getattr(item, kind) for suffix in item.suffixes})
    does = "read" if kind == "reader" else "write"
    text = f"no format can {does} {name!r}; expected a name that ends in {', '.join(known)}, or a plugin for it"
    return text + (f". Plugins that did not load: {'; '.join(broken)}" if broken else "")
