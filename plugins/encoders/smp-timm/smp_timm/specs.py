"""From what is known of a timm model to a spec of an encoder. Nothing here imports torch or timm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smp_core.plugin import EncoderSpec, WeightsSpec
from smp_timm.facts import Facts, Tag

# As many features as an architecture takes of a plain transformer.
_MOST_FEATURES = 6

# What segmentation_models_pytorch calls the default weights of any timm model, whatever they were trained on.
DEFAULT = "imagenet"

# timm's spelling of licences that SPDX has a name for.
_SPDX = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc-by-4.0": "CC-BY-4.0",
}


def spec(
    name: str, facts: Facts, tag: str | None, user_options: Iterable[str], former_names: tuple[str, ...] = ()
) -> EncoderSpec:
    """The spec of an encoder.

    Args:
        name: how it is written today.
        facts: of the model that it means.
        tag: of the weights, where the name has one; they are then its only ones.
        user_options: arguments of the model that a user may choose.
        former_names: how else it was written.
    """
    weights = {one.name or DEFAULT: _weights(one) for one in facts.tags if tag in (None, one.name) and one.repo_id}
    default = next(iter(weights), None)
    if default is not None:
        weights.setdefault(DEFAULT, weights[default])
    particular = _of_transformer(facts, user_options) if facts.blocks else _of_pyramid(facts, user_options)
    return EncoderSpec(
        name=name,
        former_names=former_names,
        weights=weights,
        default_weights=default,
        scriptable=False,
        license="Apache-2.0",
        paper="timm (Wightman), doi:10.5281/zenodo.4414861, and the paper that its module names",
        summary=f"timm's {facts.name}, out of {facts.module}",
        num_parameters=facts.parameters,
        **particular,
    )


def _of_transformer(facts: Facts, user_options: Iterable[str]) -> dict[str, Any]:
    depth = min(facts.blocks, _MOST_FEATURES)
    return {
        "target": "smp_timm.tokens:TimmTokenEncoder",
        "options": {
            **_shared(facts),
            "channels": facts.channels[0],
            "reduction": facts.reductions[0],
            "blocks": facts.blocks,
            "prefix_tokens": facts.prefix_tokens,
        },
        "user_options": ("feature_norm", *user_options),
        "out_channels": facts.channels * depth,
        "reductions": facts.reductions * depth,
        "tokens": True,
        "max_depth": depth,
    }


def _of_pyramid(facts: Facts, user_options: Iterable[str]) -> dict[str, Any]:
    whole = facts.reductions[0] == 1
    return {
        "target": "smp_timm.pyramid:TimmEncoder",
        "options": {
            **_shared(facts),
            "channels": facts.channels,
            "reductions": facts.reductions,
            "positions": facts.positions,
        },
        "user_options": tuple(user_options),
        "out_channels": facts.channels if whole else (3, *facts.channels),
        "reductions": facts.reductions if whole else (1, *facts.reductions),
        "dilation": facts.dilation,
        "min_depth": max(1, (facts.reductions[0] - 1).bit_length()),
        "max_depth": (facts.reductions[-1] - 1).bit_length(),
    }


def _shared(facts: Facts) -> dict[str, Any]:
    """Arguments of either target."""
    return {
        "model": facts.name,
        "build": dict(facts.build),
        "sizes": {
            "multiple": facts.multiple,
            "least": facts.least,
            "resized": facts.resized,
            "fixed": facts.input_size if facts.fixed else None,
        },
        "first_convolutions": facts.first_convolutions,
        "any_channels": facts.any_channels,
    }


def _weights(tag: Tag) -> WeightsSpec:
    named: dict[str, Any] = {"filename": tag.filename} if tag.filename else {}
    return WeightsSpec(
        repo_id=tag.repo_id, mean=tag.mean, std=tag.std, license=_SPDX.get(tag.license, tag.license) or None, **named
    )
