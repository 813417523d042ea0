"""The spellings of the keys of a whole model: ours, and that of published weights; what is the encoder's in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from smp_core.encoder import EncoderBase, EncoderWithNeck
from smp_core.tensors.renaming import change_keys_under


def encoder_of(model: nn.Module) -> tuple[Any, str]:
    """The encoder itself, without a neck, and the prefix of its keys."""
    encoder = getattr(model, "encoder", None)
    if isinstance(encoder, EncoderWithNeck):
        return encoder.encoder, "encoder.encoder."
    return encoder, "encoder."


def to_own(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A whole model's state dict with our keys of the encoder, from either spelling; a new dict."""
    encoder, prefix = encoder_of(model)
    if not isinstance(encoder, EncoderBase):
        return dict(tensors)
    return change_keys_under(prefix, tensors, encoder.to_own_keys)


def to_published(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A whole model's state dict with the keys under which the encoder's weights are published; a new dict."""
    encoder, prefix = encoder_of(model)
    if not isinstance(encoder, EncoderBase):
        return dict(tensors)
    return change_keys_under(prefix, tensors, encoder.to_published_keys)


def all_keys(module: nn.Module) -> set[str]:
    """The keys of a module's state dict, in every spelling."""
    own = module.state_dict()
    if isinstance(module, EncoderBase):
        return {*own, *module.to_published_keys(own), *module.other_keys()}
    return {*own, *to_published(module, own)}
