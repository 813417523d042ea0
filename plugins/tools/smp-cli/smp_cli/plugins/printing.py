"""JSON on stdout: all of it ASCII, so that any terminal and any pipe takes it."""

from __future__ import annotations

import json
from typing import Any

import typer


def print_json(value: Any) -> None:
    """A value for programs, indented for people who look."""
    typer.echo(json.dumps(value, indent=2))
