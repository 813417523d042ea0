"""``smp show``: everything that the spec of an encoder, neck or architecture says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from smp_cli.console import Rows, print_rows
from smp_cli.options import option_rows
from smp_cli.plugins.installed import UNKNOWN, licence
from smp_cli.tables import takes
from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec, WeightsSpec
from smp_core.registry import Registered, describe


def print_spec(name: str) -> None:
    """Describe an encoder, neck or architecture. Options need the implementation, and so torch."""
    item = describe(name)
    sections = _SECTIONS[item.kind](item)
    for number, (title, rows) in enumerate(sections):
        if number:
            typer.echo()
        print_rows(title, rows)


def _encoder(item: Registered[EncoderSpec]) -> list[tuple[str, Rows]]:
    spec = item.spec
    rows = [
        *_head(item),
        ("input", _input(spec.in_channels, spec.bands)),
        ("parameters", "" if spec.num_parameters is None else f"{spec.num_parameters:,}"),
        ("channels", _join(spec.out_channels)),
        ("reductions", _join(spec.reductions)),
        ("depth", f"{spec.min_depth} to {spec.max_depth}"),
        ("dilation", f"to output stride {_join(spec.dilation)}" if spec.dilation else "no"),
        ("tokens", _yes(spec.tokens)),
        ("scriptable", _yes(spec.scriptable)),
        *_tail(item),
        ("options", _values(spec.options)),
        ("weights", _join(spec.weights) if spec.weights else "none"),
    ]
    sections = [(item.spec.name, rows)]
    if spec.user_options:
        sections.append(("encoder_options", option_rows(item, spec.user_options, spec.options)))
    for name, weights in spec.weights.items():
        default = " (default)" if name == spec.default_weights else ""
        sections.append((f"weights {name}{default}", _weights(weights, spec.bands)))
    return sections


def _weights(weights: WeightsSpec, bands: Sequence[str]) -> Rows:
    space = (
        "" if weights.bands or bands else f"{weights.input_space}, "
    )  # the order of colours says nothing of named bands
    return [
        ("repository", weights.repo_id or ""),
        ("revision", (weights.revision or "main") if weights.repo_id else ""),
        ("file", weights.file or weights.filename),
        ("sha256", weights.sha256 or ""),
        ("licence", weights.license or UNKNOWN),
        ("bands", _join(weights.bands)),
        ("mean", _join([f"{value:g}" for value in weights.mean or ()])),
        ("std", _join([f"{value:g}" for value in weights.std or ()])),
        ("input", f"{space}{weights.input_range[0]:g} to {weights.input_range[1]:g}"),
    ]


def _input(channels: int, bands: Sequence[str]) -> str:
    """The channels that an encoder is made for; those of colour images go without saying."""
    names = f": {_join(bands)}" if bands else ""
    return "" if channels == 3 and not bands else f"{channels} channel{'s' if channels > 1 else ''}{names}"


def _neck(item: Registered[NeckSpec]) -> list[tuple[str, Rows]]:
    spec = item.spec
    rows = [
        *_head(item),
        ("takes", takes(spec)),
        ("reductions", _join(spec.reductions)),
        ("chosen", "where an encoder does not fit and no neck is named" if spec.default else "where it is named"),
        ("scriptable", _yes(spec.scriptable)),
        *_tail(item),
        ("options", _values(spec.options)),
    ]
    return [(spec.name, rows)]


def _architecture(item: Registered[ArchitectureSpec]) -> list[tuple[str, Rows]]:
    from smp_core.factory import architecture_options

    spec = item.spec
    rows = [
        *_head(item),
        ("class", f"{spec.class_name} (in checkpoints)"),
        ("depth", f"{spec.default_depth} by default, {spec.min_depth} to {spec.max_depth}"),
        ("output stride", f"{_join(spec.dilation)}; the first by default" if spec.dilation else "as the encoder's"),
        ("needs", _needs(spec)),
        ("arguments", _values(spec.arguments)),
        ("scriptable", _yes(spec.scriptable)),
        *_tail(item),
    ]
    options = architecture_options(item.qualified_name)
    return [(spec.name, rows), ("options", option_rows(item, options, options))] if options else [(spec.name, rows)]


_SECTIONS: dict[str, Callable[[Registered[Any]], list[tuple[str, Rows]]]] = {
    "encoder": _encoder,
    "neck": _neck,
    "architecture": _architecture,
}


def _values(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in options.items())


def _needs(spec: ArchitectureSpec) -> str:
    if spec.tokens:
        return "an encoder with prefix tokens"
    if spec.accepts_tokens:
        return "any encoder, a plain transformer too"
    kind = "an encoder with a feature pyramid" if spec.pyramid else "an encoder that is no plain transformer"
    return f"{kind} and reduction {_join(spec.requires)}" if spec.requires else kind


def _head(item: Registered[Any]) -> Rows:
    return [
        ("kind", item.kind),
        ("what", item.spec.summary),
        ("provided by", f"{item.distribution} {item.version}"),
        ("its licence", licence(item.distribution)),
        ("qualified name", item.qualified_name),
    ]


def _tail(item: Registered[Any]) -> Rows:
    return [
        ("licence", item.spec.license or UNKNOWN),
        ("paper", item.spec.paper or ""),
        ("target", item.spec.target),
    ]


def _join(values: object) -> str:
    return ", ".join(map(str, values)) if isinstance(values, (Sequence, Mapping)) else str(values)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
