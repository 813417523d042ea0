"""The parameters that segmentation_models_pytorch has and our models have not: stages that nothing uses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from smp_core.blueprints.compatibility import Choice
from smp_core.blueprints.value import Blueprint
from smp_core.encoder import EncoderBase
from smp_core.parts.assembly import build_encoder
from smp_core.tensors.fitting import encoder_of


def with_unused(tensors: Mapping[str, Tensor], model: nn.Module, blueprint: Blueprint) -> dict[str, Tensor]:
    """A whole model's published state dict, with what SMP's encoder has besides at its full depth.

    SMP builds every stage of an encoder whatever its depth, and loads only complete state dicts. Stages beyond the
    depth are given the values of a fresh initialisation, and layers that SMP never runs zeros.

    Args:
        tensors: not changed.
        model: the model.
        blueprint: what rebuilds it.
    """
    encoder, prefix = encoder_of(model)
    if blueprint.encoder is None or not isinstance(encoder, EncoderBase):
        return dict(tensors)
    spec = blueprint.encoder.spec
    with torch.random.fork_rng(devices=[]):
        full = build_encoder(blueprint.encoder, Choice(depth=spec.max_depth, output_stride=None), blueprint.in_channels)
    assert isinstance(full, EncoderBase)
    unused = {f"{prefix}{key}": torch.zeros(shape) for key, shape in encoder.unused_shapes().items()}
    deep = {f"{prefix}{key}": value for key, value in full.to_published_keys(full.state_dict()).items()}
    dtype = next((value.dtype for value in tensors.values() if value.is_floating_point()), torch.float32)
    filler = {
        key: value.to(dtype) if value.is_floating_point() else value
        for key, value in {**unused, **deep}.items()
        if key not in tensors
    }
    return {**tensors, **filler}
