"""What is known of every model of one timm release. Nothing here imports torch or timm."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from smp_timm.facts import Facts

FILE = Path(__file__).with_name("index.json")


@functools.cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def timm_version() -> str:
    """The release of timm that was measured."""
    return str(_content()["timm"])


def names() -> tuple[str, ...]:
    """Every model, as timm lists them."""
    return tuple(_content()["models"])


def options(kind: str) -> tuple[str, ...]:
    """Names of the arguments that models of a class take, of those that a user may choose."""
    return tuple(_content()["options"].get(kind, ()))


def today(name: str) -> str | None:
    """What timm calls a model today that it once called otherwise, with the tag of its weights; None for others."""
    found: str | None = _content()["former"].get(name)
    return found


def find(name: str) -> Facts | None:
    """What is known of a model; None where it was not in that release."""
    values = _content()["models"].get(name)
    return None if values is None else Facts.from_json({"name": name, **values})
