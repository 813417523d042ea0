"""``smp plugins doctor``: what is wrong with what is installed, and what to do."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

import typer
from rich.text import Text

from smp_cli import console
from smp_cli.plugins import examinations, names
from smp_cli.plugins.findings import ERROR, NOTE, WARNING, Finding, Scene
from smp_cli.plugins.installed import copies
from smp_cli.plugins.printing import print_json
from smp_cli.tables import new_table
from smp_core._specs.registered import normalise
from smp_core._version import __version__
from smp_core.registry import plugins

_EXAMINATIONS: tuple[Callable[[Scene], Iterable[Finding]], ...] = (
    examinations.broken,
    examinations.incompatible,
    names.switches,
    examinations.misplaced,
    names.conflicting,
    names.shadowed,
    examinations.duplicate,
    examinations.slow,
    examinations.editable,
)
_STYLES = {ERROR: "bold red", WARNING: "yellow", NOTE: "dim"}


def examine(*, commands: Sequence[str], as_json: bool) -> None:
    """Look at everything installed, and say what is wrong.

    Args:
        commands: the names of smp's own commands.
        as_json: for programs.

    Raises:
        Exit: with status 1, where something does not work.
    """
    scene = Scene(plugins(), copies(), dict(os.environ), commands)
    found = [finding for examination in _EXAMINATIONS for finding in examination(scene)]
    order = list(_STYLES)
    found.sort(key=lambda finding: order.index(finding.severity))
    if as_json:
        print_json(_as_dict(scene, found))
    else:
        _print(scene, found)
    if any(finding.severity == ERROR for finding in found):
        raise typer.Exit(1)


def _as_dict(scene: Scene, found: Sequence[Finding]) -> dict[str, Any]:
    return {
        "smp_core": __version__,
        "python": platform.python_version(),
        "plugins": _places(scene),
        "findings": [asdict(finding) for finding in found],
    }


def _places(scene: Scene) -> list[dict[str, Any]]:
    places = []
    for record in scene.records:
        found = scene.copies.get(normalise(record.distribution), ())
        places.append(
            {
                "distribution": record.distribution,
                "version": record.version,
                "status": record.status,
                "load_seconds": record.load_seconds,
                "location": found[0].place if found else None,
                "editable": bool(found) and found[0].source is not None,
            }
        )
    return places


def _print(scene: Scene, found: Sequence[Finding]) -> None:
    places = _places(scene)
    if console.is_terminal():
        _print_table(places, found)
    else:
        for place in places:
            fields = (place["distribution"], place["version"], place["status"], place["location"] or "nowhere")
            typer.echo("\t".join(fields) + ("\teditable" if place["editable"] else ""))
        for finding in found:
            typer.echo(f"{finding.severity}: {_sentence(finding)}")
    counts = {severity: sum(item.severity == severity for item in found) for severity in (ERROR, WARNING)}
    typer.echo(", ".join(f"{number} {word}{'' if number == 1 else 's'}" for word, number in counts.items()))


def _print_table(places: Sequence[dict[str, Any]], found: Sequence[Finding]) -> None:
    table = new_table("Distribution", "Version", "Status", "Lies in")
    for place in places:
        lies = f"{place['location'] or 'nowhere'}{' (editable)' if place['editable'] else ''}"
        table.add_row(Text(place["distribution"], style="bold"), place["version"], place["status"], lies)
    out = console.stdout()
    out.print(table)
    for finding in found:
        if finding.kind != "editable":  # which the table shows
            style = _STYLES[finding.severity]
            out.print(Text.assemble((f"{finding.severity}: ", style), _sentence(finding)), soft_wrap=True)


def _sentence(finding: Finding) -> str:
    whose = f"{finding.distribution}: " if finding.distribution else ""
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    return " ".join(f"{finding.kind}: {whose}{finding.message}{remedy}".split())  # one finding a line
