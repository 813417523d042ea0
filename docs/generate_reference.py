"""Writes ``docs/plugin-reference.md`` from the docstrings of hooks, specs and contracts.

Run: ``python docs/generate_reference.py``. A test compares the page with what this would write.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import smp_core.encoder
import smp_core.errors
import smp_core.heads
import smp_core.inference
import smp_core.layers
import smp_core.model
import smp_core.plugin

PAGE = Path(__file__).resolve().parent / "plugin-reference.md"

_HEAD = """# Reference for plugin authors

What hooks, specs and contracts say of themselves. This page is made of their docstrings by `generate_reference.py`:
change these, not it. How all goes together: the [plugin guide](plugins.md).
"""
_HOOKS = (
    *("smp_encoders", "smp_architectures", "smp_necks", "smp_commands", "smp_forms", "smp_resolve_encoder"),
    *("smp_encoder_names", "smp_resolve_architecture", "smp_architecture_names", "smp_model_created"),
    "smp_conformance",
)
_SPECS = ("EncoderSpec", "WeightsSpec", "ArchitectureSpec", "NeckSpec", "CommandSpec", "FormRule", "ConformanceSpec")
_CHANGES = ("FormerOption", "Migration")
_KINDS = ("OptionKind", "Whole", "Wholes", "Number", "Flag", "OneOf", "NormKind")
_SECTION = re.compile(r"(Args|Attributes|Returns|Raises):")
_ENTRY = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*):\s*(.*)")


def page() -> str:
    """The whole page."""
    plugin = smp_core.plugin
    parts = [
        _HEAD,
        "## Hooks\n",
        "A plugin's module implements any of these, marked with `smp_core.plugin.hookimpl`.\n",
    ]
    parts += [_function(getattr(plugin, name), name) for name in _HOOKS]
    parts += ["## Specs\n", "Frozen dataclasses of `smp_core.plugin`; all fields are keywords.\n"]
    parts += [_dataclass(getattr(plugin, name)) for name in _SPECS]
    parts += ["## When names change\n", *(_dataclass(getattr(plugin, name)) for name in _CHANGES)]
    parts += ["## Kinds of options\n", *(_dataclass(getattr(plugin, name)) for name in _KINDS)]
    parts += ["## Contracts of modules\n", *_contracts()]
    parts += ["## Errors\n", _errors()]
    return "\n".join(parts).rstrip() + "\n"


def _contracts() -> Iterable[str]:
    encoder, model, heads = smp_core.encoder, smp_core.model, smp_core.heads
    yield _class(encoder.Encoder, ("forward",))
    yield _class(encoder.EncoderBase, ("dilate", "stages_of_list", "to_own_keys", "other_keys", "unused_shapes"))
    for function in (encoder.whole_patches, encoder.cut_features):
        yield _function(function, f"smp_core.encoder.{function.__name__}")
    yield _class(model.SegmentationModel, ("forward", "_prepared", "_results"))
    yield _class(heads.SegmentationHead, ())
    yield _function(heads.build_classification_head, "smp_core.heads.build_classification_head")
    for layer in (smp_core.layers.is_stock, smp_core.layers.may_fuse):
        yield _function(layer, f"smp_core.layers.{layer.__name__}")


def _errors() -> str:
    """The drawing of the hierarchy, at the top of the module of errors."""
    text = inspect.cleandoc(smp_core.errors.__doc__ or "")
    drawing = text[text.index("SmpError") : text.index("This module imports")].rstrip()
    return f"All in `smp_core.errors`.\n\n```\n{inspect.cleandoc(drawing)}\n```\n"


def _function(function: Any, title: str, level: int = 3) -> str:
    signature = str(inspect.signature(function)).replace("'", "")
    return f"{'#' * level} `{title}`\n\n```\n{_short(title)}{signature}\n```\n\n{_text(function)}"


def _short(title: str) -> str:
    return title.rpartition(".")[2]


def _class(kind: type[Any], methods: Iterable[str]) -> str:
    parts = [f"### `{kind.__module__}.{kind.__name__}`\n", _text(kind)]
    found = [(name, vars(kind).get(name)) for name in methods]
    parts += [_function(method, name, 4) for name, method in found if method is not None]
    return "\n".join(parts)


def _dataclass(kind: type[Any]) -> str:
    rows = ["| field | type | default |", "|---|---|---|"]
    for item in dataclasses.fields(kind):
        kind_of = str(item.type).replace("|", "\\|")
        rows.append(f"| `{item.name}` | `{kind_of}` | {_default(item)} |")
    table = "\n".join(rows) + "\n\n" if len(rows) > 2 else ""
    return f"### `{kind.__name__}`\n\n{table}{_text(kind)}"


def _default(item: dataclasses.Field[Any]) -> str:
    if item.default is not dataclasses.MISSING:
        return f"`{item.default!r}`"
    return "required" if item.default_factory is dataclasses.MISSING else "empty"


def _text(documented: Any) -> str:
    """A docstring as Markdown: its sections as lists."""
    lines: list[str] = []
    section = ""
    for line in inspect.cleandoc(documented.__doc__ or "").splitlines():
        stripped = line.strip()
        heading = _SECTION.fullmatch(line)
        if heading:
            section = heading[1]
            lines += [f"**{section}**", ""]
        elif line.startswith(">>>") or (section == "example" and stripped):
            if section != "example":
                lines += ["```"]
                section = "example"
            lines.append(line)
        elif section == "example" and not stripped:
            lines += ["```", ""]
            section = ""
        elif section and line.startswith("    ") and not line.startswith("     "):
            entry = _ENTRY.fullmatch(stripped)
            lines.append(
                f"- `{entry[1]}`: {entry[2]}" if entry else stripped if section == "Returns" else f"- {stripped}"
            )
        elif section and line.startswith("     "):
            lines.append(f"  {stripped}")
        else:
            section = "" if stripped else section
            lines.append(line)
    if section == "example":
        lines.append("```")
    return re.sub(r"(?<!`)``([^`\n]+)``(?!`)", r"`\1`", "\n".join(lines)).replace("::\n", ":\n").rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
