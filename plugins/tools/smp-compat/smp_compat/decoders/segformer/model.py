"""Segformer with SMP's signature."""

from __future__ import annotations

from typing import Any

from smp_compat.base.heads import ClassificationHead, SegmentationHead
from smp_compat.base.model import SegmentationModel
from smp_compat.decoders.segformer.decoder import SegformerDecoder
from smp_compat.encoders import get_encoder
from smp_core.heads import Activation
from smp_segformer import model as smp_segformer_model

__all__ = [
    "ClassificationHead",
    "Segformer",
    "SegformerDecoder",
    "SegmentationHead",
    "SegmentationModel",
    "get_encoder",
]


class Segformer(SegmentationModel, smp_segformer_model.Segformer):
    """`smp_core.create("segformer", ...)` with the arguments of SMP's Segformer, in SMP's order.

    Args:
        encoder_name: name of an encoder, ours or one that was put into `smp_compat.encoders.encoders`.
        encoder_weights: name of a weight set, or None.
        **kwargs: further arguments of the encoder.

    The other arguments are those of `smp_segformer.Segformer` and `smp_core.create`.

    Raises:
        KeyError: no such encoder or weights.
        OptionError: a ValueError; an option that there is not, or a value that it cannot take.
    """

    _short_name = "segformer"
    _architecture = "segformer"

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_depth: int = 5,
        encoder_weights: str | None = "imagenet",
        decoder_segmentation_channels: int = 256,
        in_channels: int = 3,
        classes: int = 1,
        activation: Activation = None,
        upsampling: int = 4,
        aux_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self._build(
            encoder_name,
            {
                "encoder_depth": encoder_depth,
                "encoder_weights": encoder_weights,
                "decoder_segmentation_channels": decoder_segmentation_channels,
                "in_channels": in_channels,
                "classes": classes,
                "activation": activation,
                "upsampling": upsampling,
                "aux_params": aux_params,
            },
            kwargs,
        )
