"""The parameters that segmentation_models_pytorch has and our models have not: stages that nothing uses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from smp_core.blueprints.value import Blueprint
from smp_core.encoder import EncoderBase
from smp_core.parts.assembly import build_encoder
from smp_core.tensors.spelling import encoder_of


def with_unused(tensors: Mapping[str, Tensor], model: nn.Module, blueprint: Blueprint) -> dict[str, Tensor]:
    """A whole model's published state dict, with what SMP's encoder has besides.

    SMP builds every stage of most encoders whatever their depth, and loads only complete state dicts.

    Args:
        tensors: not changed.
        model: the model.
        blueprint: what rebuilds it.
    """
    encoder, prefix = encoder_of(model)
    if blueprint.encoder is None or not isinstance(encoder, EncoderBase):
        return dict(tensors)
    with torch.random.fork_rng(devices=[]):  # saving must not change what the user draws next
        full = build_encoder(
            blueprint.encoder,
            in_channels=blueprint.in_channels,
            depth=blueprint.depth if encoder.truncated_elsewhere else blueprint.encoder.spec.max_depth,
            options=blueprint.encoder_options,
        )
    assert isinstance(full, EncoderBase)
    added = {f"{prefix}{key}": value for key, value in complete(full).items() if f"{prefix}{key}" not in tensors}
    dtype = next((value.dtype for value in tensors.values() if value.is_floating_point()), torch.float32)
    return {**tensors, **{key: value.to(dtype) if value.is_floating_point() else value for key, value in added.items()}}


def complete(full: EncoderBase) -> dict[str, Tensor]:
    """All that SMP's encoder has, by published key.

    Stages have the values that they were built with. What nothing ever runs is zero, but for the variances of norms,
    which are one as those of a new norm are.

    Args:
        full: the encoder at its full depth.
    """
    unused = {key: _never_run(key, shape) for key, shape in full.unused_shapes().items()}
    return {**full.to_published_keys(full.state_dict()), **unused}


def _never_run(key: str, shape: tuple[int, ...]) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    return torch.ones(shape) if key.endswith("running_var") else torch.zeros(shape)
