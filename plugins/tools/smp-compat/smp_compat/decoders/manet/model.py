"""MAnet with SMP's signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smp_compat.base.heads import ClassificationHead, SegmentationHead
from smp_compat.base.model import SegmentationModel
from smp_compat.decoders.manet.decoder import MAnetDecoder
from smp_compat.encoders import get_encoder
from smp_core.heads import Activation
from smp_core.layers.norm import Norm
from smp_manet import model as smp_manet_model

__all__ = ["ClassificationHead", "MAnet", "MAnetDecoder", "SegmentationHead", "SegmentationModel", "get_encoder"]


class MAnet(SegmentationModel, smp_manet_model.MAnet):
    """`smp_core.create("manet", ...)` with the arguments of SMP's MAnet, in SMP's order.

    Args:
        encoder_name: name of an encoder, ours or one that was put into `smp_compat.encoders.encoders`.
        encoder_weights: name of a weight set, or None.
        **kwargs: further arguments of the encoder.

    The other arguments are those of `smp_manet.MAnet` and `smp_core.create`.

    Raises:
        KeyError: no such encoder or weights.
        OptionError: a ValueError; an option that there is not, or a value that it cannot take.
    """

    _short_name = "manet"
    _architecture = "manet"

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_depth: int = 5,
        encoder_weights: str | None = "imagenet",
        decoder_use_norm: Norm = "batchnorm",
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
        decoder_pab_channels: int = 64,
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
                "decoder_pab_channels": decoder_pab_channels,
                "decoder_interpolation": decoder_interpolation,
                "in_channels": in_channels,
                "classes": classes,
                "activation": activation,
                "aux_params": aux_params,
            },
            kwargs,
        )
