"""Options common to all architectures, one at a time, drawn, and wrong."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from torch import nn

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area", "nearest-exact")
BATCH_NORMS = (True, False, "batchnorm", "identity", {"type": "batchnorm", "momentum": 0.3, "eps": 1e-3})
NORMS = (*BATCH_NORMS, {"type": "instancenorm", "affine": True})
"""What ``decoder_use_norm`` takes; the peer cannot run an instance norm without parameters, nor a layer norm."""

COMMON_OPTIONS: tuple[dict[str, Any], ...] = (
    *({"in_channels": channels} for channels in (1, 2, 4, 13)),
    {"classes": 5},
    *({"classes": 4, "activation": name} for name in ("sigmoid", "softmax2d", "tanh", "identity", "clamp")),
    {"classes": 4, "activation": nn.Sigmoid},
    {"aux_params": {"classes": 4}},
    {"aux_params": {"classes": 4, "pooling": "max", "dropout": 0.5, "activation": "sigmoid"}},
)
"""Each alone, as every architecture takes them."""

WRONG_OPTIONS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"activation": "relu"}, "sigmoid"),
    ({"aux_params": {"pooling": "avg"}}, "classes"),
    ({"aux_params": {"class": 2}}, "aux_params"),
)
"""Wrong values that every architecture refuses, each with what the message must have."""

WRONG_NORM: tuple[dict[str, Any], str] = ({"decoder_use_norm": "groupnorm"}, "batchnorm")


def draw_common_options(
    draw: random.Random,
    *,
    depths: Sequence[int] = (3, 4, 5),
    norms: Sequence[Any] = (),
    interpolations: Sequence[str] = (),
) -> dict[str, Any]:
    """Random values of the options common to all architectures.

    Args:
        draw: draws them.
        depths: which to draw ``encoder_depth`` from.
        norms: which to draw ``decoder_use_norm`` from; with none, the option is left out.
        interpolations: the same for ``decoder_interpolation``.
    """
    options: dict[str, Any] = {
        "encoder_depth": draw.choice(depths),
        "in_channels": draw.randint(1, 13),
        "classes": draw.randint(1, 6),
        "activation": draw.choice((None, "sigmoid", "softmax2d", "tanh")),
    }
    if norms:
        options["decoder_use_norm"] = draw.choice(norms)
    if interpolations:
        options["decoder_interpolation"] = draw.choice(interpolations)
    if draw.random() < 0.5:
        options["aux_params"] = {
            "classes": draw.randint(1, 6),
            "pooling": draw.choice(("avg", "max")),
            "dropout": draw.choice((0.0, 0.3)),
            "activation": draw.choice((None, "sigmoid")),
        }
    return options
