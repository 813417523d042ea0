"""``smp list``: tables for a terminal, bare lines for a pipe.

Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from smp_cli.console import is_terminal, stderr, stdout
from smp_core.plugin import NeckSpec
from smp_core.registry import (
    list_architectures,
    list_encoders,
    list_necks,
    plugins,
    resolve_architecture,
    resolve_encoder,
    resolve_neck,
)


def print_encoders(
    *,
    provider: str | None,
    weights: str | bool | None,
    capability: str | None,
    license: str | None,
    open_families: bool,
) -> None:
    """The encoders that pass the filters of `smp_core.list_encoders`."""
    names = list_encoders(
        provider=provider, weights=weights, capability=capability, license=license, open_families=open_families
    )
    names.sort(key=natural)
    if not is_terminal():
        _print_names(names, "encoder")
        return
    table = new_table("Encoder", "Parameters", "Weights", "Licence", "Distribution")
    table.columns[1].justify = "right"
    for name in names:
        item = resolve_encoder(name)
        default = item.spec.default_weights
        sets = sorted(item.spec.weights, key=lambda key: (key != default, key))
        table.add_row(
            Text(name, style="bold"),
            millions(item.spec.num_parameters),
            ", ".join(sets),
            item.spec.license or "",
            f"{item.distribution} {item.version}",
        )
    _print_table(table, names, "encoder")


def print_architectures(
    *, provider: str | None, capability: str | None, license: str | None, open_families: bool
) -> None:
    """The architectures that pass the filters of `smp_core.list_architectures`."""
    names = list_architectures(provider=provider, capability=capability, license=license, open_families=open_families)
    names.sort(key=natural)
    if not is_terminal():
        _print_names(names, "architecture")
        return
    table = new_table("Architecture", "What", "Licence", "Distribution")
    for name in names:
        item = resolve_architecture(name)
        table.add_row(
            Text(name, style="bold"), item.spec.summary, item.spec.license or "", f"{item.distribution} {item.version}"
        )
    _print_table(table, names, "architecture")


def print_necks(*, provider: str | None) -> None:
    """The necks, or those of one distribution."""
    names = list_necks(provider=provider)
    names.sort(key=natural)
    if not is_terminal():
        _print_names(names, "neck")
        return
    table = new_table("Neck", "What", "Takes", "Licence", "Distribution")
    for name in names:
        item = resolve_neck(name)
        table.add_row(
            Text(name, style="bold"),
            item.spec.summary,
            takes(item.spec),
            item.spec.license or "",
            f"{item.distribution} {item.version}",
        )
    _print_table(table, names, "neck")


def takes(spec: NeckSpec) -> str:
    """Of which encoders a neck takes the features."""
    kinds = {"a plain transformer": spec.tokens, "a feature pyramid": spec.pyramid}
    return " or ".join(kind for kind, taken in kinds.items() if taken)


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts names as people count: resnet18 before resnet101."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part.casefold()) for part in parts]


def millions(number: int | None) -> str:
    """A number of parameters for people: ``21.3 M``; empty where it is not declared."""
    return "" if number is None else f"{number / 1e6:.1f} M"


def new_table(*columns: str) -> Table:
    """An empty table of these columns."""
    made = Table(box=None, pad_edge=False, header_style="bold cyan")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def _print_names(names: Sequence[str], word: str) -> None:
    for name in names:
        typer.echo(name)
    _print_notes(names, word, stderr())


def _print_table(table: Table, names: Sequence[str], word: str) -> None:
    if names:
        stdout().print(table)
    _print_notes(names, word, stderr())


def _print_notes(names: Sequence[str], word: str, console: Console) -> None:
    """What a list cannot show, on stderr: that nothing matches, and that a plugin is missing from it."""
    if not names:
        console.print(f"No installed {word} matches.", style="dim")
    records = plugins()
    partial = [record.distribution for record in records if record.status == "partial"]
    if partial:
        console.print(f"Listed in part: {', '.join(partial)}. See: smp plugins", style="yellow", soft_wrap=True)
    broken = [record.distribution for record in records if record.status == "broken"]
    if broken:
        console.print(f"Broken, so not listed: {', '.join(broken)}. See: smp plugins", style="yellow", soft_wrap=True)
