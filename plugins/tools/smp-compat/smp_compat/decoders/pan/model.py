"""PAN with SMP's signature."""

from __future__ import annotations

from typing import Any

from smp_compat.base.heads import ClassificationHead, SegmentationHead
from smp_compat.base.model import SegmentationModel
from smp_compat.decoders.pan.decoder import PANDecoder
from smp_compat.encoders import get_encoder
from smp_core.heads import Activation
from smp_pan import model as smp_pan_model

__all__ = ["PAN", "ClassificationHead", "PANDecoder", "SegmentationHead", "SegmentationModel", "get_encoder"]


class PAN(SegmentationModel, smp_pan_model.PAN):
    """`smp_core.create("pan", ...)` with the arguments of SMP's PAN, in SMP's order.

    Args:
        encoder_name: name of an encoder, ours or one that was put into `smp_compat.encoders.encoders`.
        encoder_weights: name of a weight set, or None.
        **kwargs: further arguments of the encoder.

    The other arguments are those of `smp_pan.PAN` and `smp_core.create`.

    Raises:
        KeyError: no such encoder or weights.
        OptionError: a ValueError; an option that there is not, or a value that it cannot take.
    """

    _short_name = "pan"
    _architecture = "pan"

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_depth: int = 5,
        encoder_weights: str | None = "imagenet",
        encoder_output_stride: int = 16,
        decoder_channels: int = 32,
        decoder_interpolation: str = "bilinear",
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
                "encoder_output_stride": encoder_output_stride,
                "decoder_channels": decoder_channels,
                "decoder_interpolation": decoder_interpolation,
                "in_channels": in_channels,
                "classes": classes,
                "activation": activation,
                "upsampling": upsampling,
                "aux_params": aux_params,
            },
            kwargs,
        )
