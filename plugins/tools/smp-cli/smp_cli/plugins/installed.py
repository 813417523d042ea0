"""The distributions that plugins come from, as their metadata describes them."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from smp_core._specs.registered import normalise
from smp_core.plugin import ENTRY_POINT_GROUP
from smp_core.registry import PluginRecord

UNKNOWN = "unknown"
"""What is said where nobody declared a licence: that is worth a line."""


@dataclass(frozen=True)
class Copy:
    """One copy of a distribution on ``sys.path``; there may be several, of which Python uses the first.

    Attributes:
        distribution: its metadata.
        folder: of ``sys.path``, in which the metadata lies.
        source: the folder of a checkout that an editable installation points at; None for any other.
    """

    distribution: importlib.metadata.Distribution
    folder: Path
    source: Path | None

    @property
    def version(self) -> str:
        """As the metadata has it."""
        return self.field("Version") or UNKNOWN

    @property
    def name(self) -> str:
        """As the metadata has it."""
        return self.field("Name") or UNKNOWN

    def field(self, name: str) -> str | None:
        """The first of a metadata field; None where there is none."""
        found = self.distribution.metadata.get_all(name)
        return found[0] if found else None

    @property
    def place(self) -> str:
        """Where its code lies."""
        return str(self.source or self.folder)


def copies() -> dict[str, list[Copy]]:
    """Every copy of smp-core and of what has plugins, by normalised name; copies in the order of ``sys.path``."""
    found: dict[str, list[Copy]] = {}
    for distribution in importlib.metadata.distributions():
        try:
            copy = Copy(distribution, Path(str(distribution.locate_file(""))), _source(distribution))
            name = normalise(copy.name)
            ours = name == "smp-core" or _has_plugins(distribution)
        except Exception:  # noqa: S112  # unreadable metadata: discovery says so where it is a plugin's
            continue
        if ours:
            found.setdefault(name, []).append(copy)
    return dict(sorted(found.items()))


def _has_plugins(distribution: importlib.metadata.Distribution) -> bool:
    text = distribution.read_text("entry_points.txt") or ""
    return f"[{ENTRY_POINT_GROUP}]" in text


def _source(distribution: importlib.metadata.Distribution) -> Path | None:
    """Where an editable installation points (PEP 610)."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        if origin["dir_info"]["editable"]:
            return Path(url2pathname(urlsplit(origin["url"]).path))
    except (ValueError, KeyError, TypeError):
        pass
    return None


def licence(name: str) -> str:
    """What a distribution's metadata declares: an SPDX expression, else the older free text or classifiers."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return UNKNOWN
    fields = {key: metadata[key] for key in ("License-Expression", "License") if key in metadata}
    # Some write the whole text of their licence into the field: the first line is its title.
    declared = (value.strip().splitlines()[0] for value in fields.values() if value.strip())
    classifiers = [item for item in metadata.get_all("Classifier") or [] if item.startswith("License ::")]
    return next(declared, "") or ", ".join(item.split(" :: ")[-1] for item in classifiers) or UNKNOWN


def module_file(record: PluginRecord) -> Path | None:
    """From where the module of a plugin was imported; None where it was not."""
    module = sys.modules.get(module_name(record))
    file = getattr(module, "__file__", None)
    return Path(file) if file else None


def module_name(record: PluginRecord) -> str:
    """Of the plugin's module, without what else an entry point may say."""
    return record.module.partition("[")[0].partition(":")[0].strip()


def own_files(copy: Copy, record: PluginRecord) -> Iterator[Path]:
    """Where the distribution says that the file of the plugin's module lies; nothing where it does not say."""
    stem = module_name(record).replace(".", "/")
    for file in copy.distribution.files or ():
        if file.as_posix() in (f"{stem}.py", f"{stem}/__init__.py"):
            yield Path(str(file.locate()))
