"""What a directory of plugins says of those that are installed in one folder; asked in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smp_cli.plugins.children import Say
from smp_cli.plugins.installed import UNKNOWN, copies, licence
from smp_core._specs.registered import normalise
from smp_core.registry import PluginRecord, plugins, resolve_encoder

ENTRIES = "entries"
_NAMED = ("encoders", "architectures", "necks", "commands", "forms")


def tell(say: Say, folder: str) -> None:
    """Say what became of every plugin whose distribution lies in a folder."""
    here = {
        name
        for name, found in copies().items()
        if any(copy.folder.resolve() == Path(folder).resolve() for copy in found[:1])
    }
    say(ENTRIES, [_entry(record) for record in plugins() if normalise(record.distribution) in here])


def _entry(record: PluginRecord) -> dict[str, Any]:
    names = (f"{normalise(record.distribution)}/{name}" for name in record.encoders)
    counts = [count for name in names if (count := resolve_encoder(name).spec.num_parameters)]
    stated = licence(record.distribution)
    return {
        "distribution": record.distribution,
        "version": record.version,
        "status": record.status,
        "error": record.error,
        "license": None if stated == UNKNOWN else stated,
        **{kind: list(getattr(record, kind)) for kind in _NAMED},
        "resolves_encoders": record.resolves_encoders,
        "resolves_architectures": record.resolves_architectures,
        "parameters": [min(counts), max(counts)] if counts else None,
    }
