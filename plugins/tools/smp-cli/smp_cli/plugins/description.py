"""``smp plugins show``: one distribution with plugins, what it provides, where it lies and what it needs."""

from __future__ import annotations

import contextlib
import difflib
import sys
from typing import Any

import typer

from smp_cli.console import Rows, print_rows
from smp_cli.errors import CliError
from smp_cli.plugins.installed import copies, licence, module_file, module_name
from smp_cli.plugins.listing import record_as_dict
from smp_cli.plugins.names import RESOLVE
from smp_cli.plugins.printing import print_json
from smp_core._specs.registered import normalise
from smp_core.errors import RegistryError
from smp_core.plugin import API_VERSION
from smp_core.registry import PluginRecord, describe, plugins


def print_plugin(name: str, *, as_json: bool) -> None:
    """Describe every plugin of a distribution.

    Raises:
        CliError: no plugin is of that distribution.
    """
    described = [_describe(record) for record in records_of(name, "show")]
    if as_json:
        print_json(described)
        return
    for number, item in enumerate(described):
        if number:
            typer.echo()
        _print(item)


def records_of(name: str, command: str) -> list[PluginRecord]:
    """The plugins of a distribution.

    Raises:
        CliError: there are none; says what the name is otherwise, and how ``smp plugins <command>`` is meant.
    """
    records = [record for record in plugins() if normalise(record.distribution) == normalise(name)]
    if not records:
        raise CliError(_unknown(name, command))
    return records


def _unknown(name: str, command: str) -> str:
    with contextlib.suppress(RegistryError):
        item = describe(name)
        runs = f"smp plugins {command} {item.distribution}"
        runs = f"smp show {name}, or: {runs}" if command == "show" else runs
        return f"{name!r} is an {item.kind} of {item.distribution}; run: {runs}".replace("an neck", "a neck")
    known = [record.distribution for record in plugins()]
    close = difflib.get_close_matches(normalise(name), list(map(normalise, known)), n=2)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "smp plugins list names those that are"
    return f"no plugin of a distribution {name!r} is installed; {hint}"


def _describe(record: PluginRecord) -> dict[str, Any]:
    """Everything that is known of one plugin, as JSON has it."""
    found = copies().get(normalise(record.distribution), [])
    copy = found[0] if found else None
    file = module_file(record)
    return {
        **record_as_dict(record),
        "summary": copy.field("Summary") if copy else None,
        "license": licence(record.distribution),
        "urls": copy.distribution.metadata.get_all("Project-URL") or [] if copy else [],
        "requires": copy.distribution.requires or [] if copy else [],
        "requires_python": copy.field("Requires-Python") if copy else None,
        "location": copy.place if copy else None,
        "editable": copy is not None and copy.source is not None,
        "file": str(file) if file else None,
        "api_version": getattr(sys.modules.get(module_name(record)), "api_version", None),
        "specs": {kind: _specs(record, kind) for kind in RESOLVE},
    }


def _specs(record: PluginRecord, kind: str) -> list[dict[str, Any]]:
    found = []
    for name in getattr(record, kind):
        spec: Any = RESOLVE[kind](f"{normalise(record.distribution)}/{name}").spec
        weights = {key: item.license for key, item in getattr(spec, "weights", {}).items()}
        found.append(
            {
                "name": name,
                "summary": spec.summary,
                "target": spec.target,
                "license": getattr(spec, "license", None),
                "weights": weights,
            }
        )
    return found


def _print(item: dict[str, Any]) -> None:
    api = f"{item['api_version']} asked for, {API_VERSION} here" if item["api_version"] is not None else ""
    rows: Rows = [
        ("version", item["version"]),
        ("status", item["status"]),
        ("error", item["error"] or ""),
        ("what", item["summary"] or ""),
        ("licence", item["license"]),
        ("module", item["module"]),
        ("lies in", f"{item['location']}{' (editable)' if item['editable'] else ''}" if item["location"] else ""),
        ("load time", f"{1000 * item['load_seconds']:.1f} ms"),
        ("plugin API", api),
        ("python", item["requires_python"] or ""),
        ("needs", ", ".join(item["requires"])),
        *((address.partition(",")[0].lower(), address.partition(",")[2].strip()) for address in item["urls"]),
        ("resolves", _families(item)),
        ("forms", ", ".join(item["forms"])),
    ]
    print_rows(item["distribution"], rows)
    for kind, specs in item["specs"].items():
        if specs:
            typer.echo()
            print_rows(kind, [(spec["name"], _line(spec)) for spec in specs])


def _families(item: dict[str, Any]) -> str:
    words = [word for word in ("encoders", "architectures") if item[f"resolves_{word}"]]
    return f"names of an open family of {' and '.join(words)}" if words else ""


def _line(spec: dict[str, Any]) -> str:
    """What one spec says, in a line; its target where it says nothing."""
    weights = f"weights {', '.join(spec['weights'])}" if spec["weights"] else ""
    return "; ".join(filter(None, (spec["summary"], weights))) or spec["target"]
