"""Encoders by name, and how their inputs are prepared."""

from __future__ import annotations

import functools
from collections.abc import Callable, MutableMapping
from typing import Any

from smp_compat._errors import UnknownPretrainedError, keys_as_in_smp
from smp_compat._not_provided import raises_for
from smp_compat.encoders._catalogue import Encoders, settings_of
from smp_compat.encoders._getting import get_encoder
from smp_compat.encoders._preprocessing import preprocess_input
from smp_compat.encoders.densenet import densenet_encoders
from smp_compat.encoders.dpn import dpn_encoders
from smp_compat.encoders.efficientnet import efficient_net_encoders
from smp_compat.encoders.inceptionresnetv2 import inceptionresnetv2_encoders
from smp_compat.encoders.inceptionv4 import inceptionv4_encoders
from smp_compat.encoders.mix_transformer import mix_transformer_encoders
from smp_compat.encoders.mobilenet import mobilenet_encoders
from smp_compat.encoders.mobileone import mobileone_encoders
from smp_compat.encoders.resnet import resnet_encoders
from smp_compat.encoders.senet import senet_encoders
from smp_compat.encoders.timm_efficientnet import timm_efficientnet_encoders
from smp_compat.encoders.timm_sknet import timm_sknet_encoders
from smp_compat.encoders.timm_universal import TimmUniversalEncoder
from smp_compat.encoders.timm_vit import TimmViTEncoder
from smp_compat.encoders.vgg import vgg_encoders
from smp_compat.encoders.xception import xception_encoders

__all__ = [
    "TimmUniversalEncoder",
    "TimmViTEncoder",
    "densenet_encoders",
    "dpn_encoders",
    "efficient_net_encoders",
    "encoders",
    "get_encoder",
    "get_encoder_names",
    "get_preprocessing_fn",
    "get_preprocessing_params",
    "inceptionresnetv2_encoders",
    "inceptionv4_encoders",
    "mix_transformer_encoders",
    "mobilenet_encoders",
    "mobileone_encoders",
    "preprocess_input",
    "resnet_encoders",
    "senet_encoders",
    "timm_efficientnet_encoders",
    "timm_sknet_encoders",
    "vgg_encoders",
    "xception_encoders",
]


encoders: MutableMapping[str, dict[str, Any]] = Encoders()
"""Name to ``encoder`` (makes it), ``params`` and ``pretrained_settings``.

A program puts its own in, which then have a name wherever an encoder is named, in `smp_core.create`, too::

    encoders["mine"] = {"encoder": MyEncoder, "params": {...}, "pretrained_settings": {}}
"""


def get_encoder_names() -> list[str]:
    """The names of all encoders that are installed, SMP's in its order; not those of timm."""
    return list(encoders)


def get_preprocessing_params(encoder_name: str, pretrained: str = "imagenet") -> dict[str, Any]:
    """How pixel values become the input of pretrained weights: nothing is fetched.

    Args:
        encoder_name: of an encoder.
        pretrained: name of a weight set.

    Returns:
        ``input_space``, ``input_range``, ``mean`` and ``std``.

    Raises:
        KeyError: no such encoder.
        ValueError: no such weights.
    """
    with keys_as_in_smp():
        settings = settings_of(encoder_name)
    if pretrained not in settings:
        raise UnknownPretrainedError(
            f"encoder {encoder_name!r} has no weights {pretrained!r}; it has {', '.join(settings) or 'none'}"
        )
    return {key: settings[pretrained].get(key) for key in ("input_space", "input_range", "mean", "std")}


def get_preprocessing_fn(encoder_name: str, pretrained: str = "imagenet") -> Callable[..., Any]:
    """`preprocess_input` with the parameters of `get_preprocessing_params`.

    Raises:
        KeyError, ValueError: as `get_preprocessing_params`.
    """
    return functools.partial(preprocess_input, **get_preprocessing_params(encoder_name, pretrained))


__getattr__ = raises_for(__name__)
