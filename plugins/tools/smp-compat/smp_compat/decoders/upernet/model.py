"""UPerNet with SMP's signature."""

from __future__ import annotations

from typing import Any

from smp_compat.base.heads import ClassificationHead, SegmentationHead
from smp_compat.base.model import SegmentationModel
from smp_compat.decoders.upernet.decoder import UPerNetDecoder
from smp_compat.encoders import get_encoder
from smp_core.heads import Activation
from smp_core.layers.norm import Norm
from smp_upernet import model as smp_upernet_model

__all__ = ["ClassificationHead", "SegmentationHead", "SegmentationModel", "UPerNet", "UPerNetDecoder", "get_encoder"]


class UPerNet(SegmentationModel, smp_upernet_model.UPerNet):
    """`smp_core.create("upernet", ...)` with the arguments of SMP's UPerNet, in SMP's order.

    Args:
        encoder_name: name of an encoder, ours or one that was put into `smp_compat.encoders.encoders`.
        encoder_weights: name of a weight set, or None.
        **kwargs: further arguments of the encoder.

    The other arguments are those of `smp_upernet.UPerNet` and `smp_core.create`.

    Raises:
        KeyError: no such encoder or weights.
        OptionError: a ValueError; an option that there is not, or a value that it cannot take.
    """

    _short_name = "upernet"
    _architecture = "upernet"

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_depth: int = 5,
        encoder_weights: str | None = "imagenet",
        decoder_channels: int = 256,
        decoder_use_norm: Norm = "batchnorm",
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
                "decoder_channels": decoder_channels,
                "decoder_use_norm": decoder_use_norm,
                "in_channels": in_channels,
                "classes": classes,
                "activation": activation,
                "upsampling": upsampling,
                "aux_params": aux_params,
            },
            kwargs,
        )
