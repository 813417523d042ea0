"""Unet with SMP's signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smp_compat.base.heads import ClassificationHead, SegmentationHead
from smp_compat.base.model import SegmentationModel
from smp_compat.decoders.unet.decoder import UnetDecoder
from smp_compat.encoders import get_encoder
from smp_core.heads import Activation
from smp_core.layers.norm import Norm
from smp_unet import model as smp_unet_model

__all__ = ["ClassificationHead", "SegmentationHead", "SegmentationModel", "Unet", "UnetDecoder", "get_encoder"]


class Unet(SegmentationModel, smp_unet_model.Unet):
    """`smp_core.create("unet", ...)` with the arguments of SMP's Unet, in SMP's order.

    Args:
        encoder_name: name of an encoder, ours or one that was put into `smp_compat.encoders.encoders`.
        encoder_weights: name of a weight set, or None.
        **kwargs: further arguments of the encoder.

    The other arguments are those of `smp_unet.Unet` and `smp_core.create`.

    Raises:
        KeyError: no such encoder or weights.
        OptionError: a ValueError; an option that there is not, or a value that it cannot take.
    """

    requires_divisible_input_shape = False
    _short_name = "u"
    _architecture = "unet"

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_depth: int = 5,
        encoder_weights: str | None = "imagenet",
        decoder_use_norm: Norm = "batchnorm",
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
        decoder_attention_type: str | None = None,
        decoder_interpolation: str = "nearest",
        in_channels: int = 3,
        classes: int = 1,
        activation: Activation = None,
        aux_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self._build(
            encoder_name,
            {
                "encoder_depth": encoder_depth,
                "encoder_weights": encoder_weights,
                "decoder_use_norm": decoder_use_norm,
                "decoder_channels": decoder_channels,
                "decoder_attention_type": decoder_attention_type,
                "decoder_interpolation": decoder_interpolation,
                "in_channels": in_channels,
                "classes": classes,
                "activation": activation,
                "aux_params": aux_params,
            },
            kwargs,
        )
