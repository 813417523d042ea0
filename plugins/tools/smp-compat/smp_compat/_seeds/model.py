"""Drawing a model's weights as SMP does."""

from __future__ import annotations

import torch
from torch import nn

import smp_core
from smp_compat._seeds.encoder import draw
from smp_compat._seeds.layers import redraw
from smp_core.blueprints.value import Blueprint


def build(wanted: Blueprint) -> smp_core.SegmentationModel:
    """`smp_core.build` with the random weights that SMP's model would get of the same seed.

    SMP builds the encoder, the decoder and the heads, each as torch initialises its layers, and initialises decoder and
    heads when all are there (`initialize`). Encoders of other families than SMP's draw what they draw.

    Args:
        wanted: what to build.

    Returns:
        The model, in which decoder and heads are as torch initialises them.
    """
    start = torch.get_rng_state()

    def as_in_smp(encoder: nn.Module) -> None:
        nonlocal start
        assert wanted.encoder is not None  # only of one that the blueprint names we are told
        draw(encoder, wanted.encoder, start, has_weights=wanted.weights is not None)
        start = torch.get_rng_state()

    model = smp_core.build(wanted, on_encoder=as_in_smp)
    parts = [model.decoder, model.segmentation_head, model.classification_head]
    redraw(nn.ModuleList(part for part in parts if part is not None), start)
    return model
