"""timm's own metadata of its weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import timm

from smp_timm.facts import Tag


def tags_of(model: str) -> tuple[Tag, ...]:
    """The weights that timm knows for a model, its default ones first.

    Args:
        model: without a tag.
    """
    default = timm.models.get_pretrained_cfg(model)
    names = [name for name in timm.list_pretrained(f"{model}.*") + timm.list_pretrained(model) if _model(name) == model]
    found = dict.fromkeys(name.partition(".")[2] for name in names)
    first = getattr(default, "tag", None) or ""
    ordered = sorted(found, key=lambda tag: tag != first)
    return tuple(tag for name in ordered for tag in _tag(model, name))


def _model(name: str) -> str:
    return name.partition(".")[0]


def _tag(model: str, name: str) -> Iterator[Tag]:
    config: Any = timm.models.get_pretrained_cfg(f"{model}.{name}" if name else model)
    if config is None or not (config.hf_hub_id or config.url):
        return
    repo_id, filename = _repository(config, model, name)
    yield Tag(
        name=name,
        repo_id=repo_id,
        filename=filename,
        url="" if repo_id else config.url,
        mean=tuple(map(float, config.mean)),
        std=tuple(map(float, config.std)),
        license="" if config.license in (None, "unknown") else config.license,
    )


def _repository(config: Any, model: str, name: str) -> tuple[str, str]:
    """Repository and file; timm writes ``"timm/"`` for the one that is called as the weights are."""
    repo_id = config.hf_hub_id or ""
    if repo_id == "timm/":
        repo_id = f"timm/{model}.{name}" if name else f"timm/{model}"
    return repo_id, config.hf_hub_filename or ""
