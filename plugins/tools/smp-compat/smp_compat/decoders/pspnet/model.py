"""PSPNet with SMP's signature."""

from __future__ import annotations

from typing import Any

from smp_compat.base.heads import ClassificationHead, SegmentationHead
from smp_compat.base.model import SegmentationModel
from smp_compat.decoders.pspnet.decoder import PSPDecoder
from smp_compat.encoders import get_encoder
from smp_core.heads import Activation
from smp_core.layers.norm import Norm
from smp_pspnet import model as smp_pspnet_model

__all__ = ["ClassificationHead", "PSPDecoder", "PSPNet", "SegmentationHead", "SegmentationModel", "get_encoder"]


class PSPNet(SegmentationModel, smp_pspnet_model.PSPNet):
    """`smp_core.create("pspnet", ...)` with the arguments of SMP's PSPNet, in SMP's order.

    Args:
        encoder_name: name of an encoder, ours or one that was put into `smp_compat.encoders.encoders`.
        encoder_weights: name of a weight set, or None.
        **kwargs: further arguments of the encoder.

    The other arguments are those of `smp_pspnet.PSPNet` and `smp_core.create`.

    Raises:
        KeyError: no such encoder or weights.
        OptionError: a ValueError; an option that there is not, or a value that it cannot take.
    """

    _short_name = "psp"
    _architecture = "pspnet"

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_weights: str | None = "imagenet",
        encoder_depth: int = 3,
        psp_out_channels: int = 512,
        decoder_use_norm: Norm = "batchnorm",
        psp_dropout: float = 0.2,
        in_channels: int = 3,
        classes: int = 1,
        activation: Activation = None,
        upsampling: int = 8,
        aux_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self._build(
            encoder_name,
            {
                "encoder_weights": encoder_weights,
                "encoder_depth": encoder_depth,
                "psp_out_channels": psp_out_channels,
                "decoder_use_norm": decoder_use_norm,
                "psp_dropout": psp_dropout,
                "in_channels": in_channels,
                "classes": classes,
                "activation": activation,
                "upsampling": upsampling,
                "aux_params": aux_params,
            },
            kwargs,
        )
