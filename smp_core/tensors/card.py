"""The README of a saved model: what it is, how to load it, what it was trained on, how its input is prepared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smp_core.blueprints.value import Blueprint


def model_card(
    blueprint: Blueprint,
    config: Mapping[str, Any],
    *,
    dataset: str | None = None,
    metrics: Mapping[str, object] | None = None,
) -> str:
    """The card as Markdown, with the metadata that the Hub reads.

    Args:
        blueprint: of the model.
        config: what is written beside the card.
        dataset: what the model was trained on.
        metrics: name to value.
    """
    parts = [part for part in (blueprint.architecture, blueprint.encoder, blueprint.neck) if part is not None]
    distributions = sorted({"smp-core", *(part.distribution for part in parts)})
    encoder = blueprint.encoder.spec.name if blueprint.encoder is not None else "a custom encoder"
    over = "encoder=your_encoder" if blueprint.encoder is None else ""
    call = f'"<this folder or repository>"{f", {over}" if over else ""}'
    sections = {
        f"# {blueprint.architecture.spec.class_name} over {encoder}": [
            *_fenced("", f"pip install {' '.join(distributions)}"),
            *_fenced(
                "python",
                "import smp_core",
                "",
                f"model = smp_core.from_pretrained({call})",
                f"mask = model.predict(image)  # (N, {blueprint.in_channels}, H, W) -> (N, {blueprint.classes}, H, W)",
            ),
        ],
        "## Dataset": [dataset or "Not recorded."],
        "## Metrics": [f"- {name}: {value}" for name, value in (metrics or {}).items()] or ["Not recorded."],
        "## Licences": _licences(blueprint),
        "## Input": _input(config),
        "## Options": [f"- {key}: `{value}`" for key, value in sorted(config.items()) if not key.startswith("_")],
    }
    body = [line for title, lines in sections.items() for line in (title, "", *lines, "")]
    return "\n".join([*front_matter(), *body])


def front_matter() -> list[str]:
    """The lines that the Hub reads, the same for every model."""
    return [
        "---",
        "library_name: smp-core",
        "pipeline_tag: image-segmentation",
        "tags:",
        "- semantic-segmentation",
        "- pytorch",
        "---",
    ]


def _fenced(language: str, *lines: str) -> list[str]:
    return [f"```{language}", *lines, "```"]


def _licences(blueprint: Blueprint) -> list[str]:
    """Those of the code, and of the weights that the encoder started from, as they are declared."""
    parts = [part for part in (blueprint.architecture, blueprint.encoder, blueprint.neck) if part is not None]
    lines = [f"- {part.kind} `{part.spec.name}`: {part.spec.license or 'unknown'}" for part in parts]
    started_from = blueprint.weights.name if blueprint.weights is not None else None
    if started_from is not None and blueprint.encoder is not None:
        weights = blueprint.encoder.spec.weights.get(started_from)
        licence = weights.license if weights is not None else None
        lines.append(f"- the encoder started from the weights `{started_from}`: {licence or 'unknown'}")
    return lines


def _input(config: Mapping[str, Any]) -> list[str]:
    preprocessing, bands = (config["_smp_core"].get(key) for key in ("preprocessing", "bands"))
    lines = [f"- channels: `{', '.join(bands)}`"] if bands else []
    if not preprocessing:
        return [*lines, "Not recorded: prepare images as they were prepared in training."]
    return [*lines, *(f"- {key}: `{value}`" for key, value in preprocessing.items())]
