"""``smp plugins list``: what became of every plugin, for a terminal, for a pipe, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer
from rich.text import Text

from smp_cli import console
from smp_cli.plugins.printing import print_json
from smp_cli.tables import new_table
from smp_core.registry import PluginRecord, plugins

STATUS_STYLES = {
    "ok": "green",
    **dict.fromkeys(("slow", "noisy", "partial"), "yellow"),
    "broken": "bold red",
    "disabled": "dim",
}


def print_plugins(*, verbose: bool, as_json: bool) -> None:
    """What became of every plugin; with ``verbose`` all the names that each provides, and tracebacks of failures."""
    records = plugins()
    if as_json:
        print_json([record_as_dict(record) for record in records])
        return
    if console.is_terminal():
        _print_table(records, verbose=verbose)
    else:
        _print_lines(records, verbose=verbose)
    if not records:
        console.print_error("note: no plugin is installed; for a start: pip install smp-unet smp-resnet")
    for record in records if verbose else ():
        if record.traceback:
            typer.echo(f"\n{record.distribution} {record.version}:\n{record.traceback.rstrip()}")


def record_as_dict(record: PluginRecord) -> dict[str, Any]:
    """A record as JSON has it; times in seconds."""
    return asdict(record)


def _print_table(records: Sequence[PluginRecord], *, verbose: bool) -> None:
    table = new_table("Distribution", "Version", "Status", "Provides", "Load time")
    table.columns[-1].justify = "right"
    for record in records:
        table.add_row(
            Text(record.distribution, style="bold"),
            record.version,
            Text(record.status, style=STATUS_STYLES.get(record.status, "")),
            provides(record, verbose=verbose),
            f"{1000 * record.load_seconds:.1f} ms",
        )
    out = console.stdout()
    out.print(table)
    for record in records:
        if record.error:
            style = STATUS_STYLES.get(record.status, "")
            out.print(Text.assemble((f"{record.status}: ", style), record.error), soft_wrap=True)


def _print_lines(records: Sequence[PluginRecord], *, verbose: bool) -> None:
    for record in records:
        fields = (
            record.distribution,
            record.version,
            record.status,
            provides(record, verbose=verbose),
            f"{1000 * record.load_seconds:.1f} ms",
            record.error or "",
        )
        typer.echo("\t".join(" ".join(field.split()) for field in fields).rstrip("\t"))


def provides(record: PluginRecord, *, verbose: bool = False) -> str:
    """What a plugin provides, in short: names where there are few or all are wanted, otherwise how many."""
    parts = []
    provided = (
        *(("architecture", record.architectures), ("neck", record.necks)),
        *(("encoder", record.encoders), ("command", record.commands), ("form", record.forms)),
    )
    for word, names in provided:
        if names and (verbose or len(names) <= 2):
            parts.append(f"{word}{'s' if len(names) > 1 else ''} {', '.join(names)}")
        elif names:
            parts.append(f"{len(names)} {word}s")
    if record.resolves_encoders:
        parts.append("an open family of encoders")
    if record.resolves_architectures:
        parts.append("an open family of architectures")
    return "; ".join(parts) or "nothing"
