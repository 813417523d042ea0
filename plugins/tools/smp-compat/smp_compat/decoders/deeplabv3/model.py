"""DeepLabV3 and DeepLabV3Plus with SMP's signature."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smp_compat.base.heads import ClassificationHead, SegmentationHead
from smp_compat.base.model import SegmentationModel
from smp_compat.decoders.deeplabv3.decoder import DeepLabV3Decoder, DeepLabV3PlusDecoder
from smp_compat.encoders import get_encoder
from smp_core.heads import Activation
from smp_deeplabv3 import model as smp_deeplabv3_model

__all__ = [
    "ClassificationHead",
    "DeepLabV3",
    "DeepLabV3Decoder",
    "DeepLabV3Plus",
    "DeepLabV3PlusDecoder",
    "SegmentationHead",
    "SegmentationModel",
    "get_encoder",
]


class DeepLabV3(SegmentationModel, smp_deeplabv3_model.DeepLabV3):
    """`smp_core.create("deeplabv3", ...)` with the arguments of SMP's DeepLabV3, in SMP's order.

    Args:
        encoder_name: name of an encoder, ours or one that was put into `smp_compat.encoders.encoders`.
        encoder_weights: name of a weight set, or None.
        **kwargs: further arguments of the encoder.

    The other arguments are those of `smp_deeplabv3.DeepLabV3` and `smp_core.create`.

    Raises:
        KeyError: no such encoder or weights.
        OptionError: a ValueError; an option that there is not, or a value that it cannot take.
    """

    _initializes = False
    _short_name = "deeplabv3"
    _architecture = "deeplabv3"

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_depth: int = 5,
        encoder_weights: str | None = "imagenet",
        encoder_output_stride: int = 8,
        decoder_channels: int = 256,
        decoder_atrous_rates: Iterable[int] = (12, 24, 36),
        decoder_aspp_separable: bool = False,
        decoder_aspp_dropout: float = 0.5,
        in_channels: int = 3,
        classes: int = 1,
        activation: Activation = None,
        upsampling: int | None = None,
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
                "decoder_atrous_rates": decoder_atrous_rates,
                "decoder_aspp_separable": decoder_aspp_separable,
                "decoder_aspp_dropout": decoder_aspp_dropout,
                "in_channels": in_channels,
                "classes": classes,
                "activation": activation,
                "upsampling": upsampling,
                "aux_params": aux_params,
            },
            kwargs,
        )


class DeepLabV3Plus(SegmentationModel, smp_deeplabv3_model.DeepLabV3Plus):
    """`smp_core.create("deeplabv3plus", ...)` with the arguments of SMP's DeepLabV3Plus, in SMP's order.

    Args:
        encoder_name: name of an encoder, ours or one that was put into `smp_compat.encoders.encoders`.
        encoder_weights: name of a weight set, or None.
        **kwargs: further arguments of the encoder.

    The other arguments are those of `smp_deeplabv3.DeepLabV3Plus` and `smp_core.create`.

    Raises:
        KeyError: no such encoder or weights.
        OptionError: a ValueError; an option that there is not, or a value that it cannot take.
    """

    _initializes = False
    _short_name = "deeplabv3plus"
    _architecture = "deeplabv3plus"

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_depth: int = 5,
        encoder_weights: str | None = "imagenet",
        encoder_output_stride: int = 16,
        decoder_channels: int = 256,
        decoder_atrous_rates: Iterable[int] = (12, 24, 36),
        decoder_aspp_separable: bool = True,
        decoder_aspp_dropout: float = 0.5,
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
                "decoder_atrous_rates": decoder_atrous_rates,
                "decoder_aspp_separable": decoder_aspp_separable,
                "decoder_aspp_dropout": decoder_aspp_dropout,
                "in_channels": in_channels,
                "classes": classes,
                "activation": activation,
                "upsampling": upsampling,
                "aux_params": aux_params,
            },
            kwargs,
        )
