"""Writes the index of the installed timm: ``python -m smp_timm.regenerate [--check]``.

Takes about half an hour on one core. ``--check NAME...`` measures some models and compares them with the index instead.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import Any

import timm

from smp_timm import index
from smp_timm.facts import Facts
from smp_timm.probing import options_of, probe


def content(facts: Iterable[Facts]) -> dict[str, Any]:
    """What the index holds for these models."""
    models: dict[str, Any] = {}
    options: dict[str, list[str]] = {}
    for item in facts:
        values = item.to_json()
        models[values.pop("name")] = values
        if item.kind not in options:
            options[item.kind] = list(options_of(item.name))
    return {"timm": timm.__version__, "former": former_names(), "options": options, "models": models}


def former_names() -> dict[str, str]:
    """What timm once called models, and what it calls them today, of those that there still are."""
    found: dict[str, str | None] = timm.models._registry._deprecated_models
    return {name: today for name, today in sorted(found.items()) if today}


def write(found: dict[str, Any]) -> None:
    """Write the index: a line for each model, so that a change of one is one line's."""
    head = json.dumps({key: value for key, value in found.items() if key != "models"}, separators=(",", ":"))
    lines = [
        f"{json.dumps(name)}:{json.dumps(values, separators=(',', ':'))}" for name, values in found["models"].items()
    ]
    index.FILE.write_text(f'{head[:-1]},"models":{{\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")


def main() -> int:
    """Write or compare the index; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", nargs="+", metavar="NAME")
    wanted = parser.parse_args().check
    if wanted is None:
        write(content(map(probe, timm.list_models())))
        return 0
    different = [name for name in wanted if index.find(name) != probe(name)]
    for name in different:
        sys.stdout.write(f"{name}: the index has {index.find(name)}, timm {probe(name)}\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
