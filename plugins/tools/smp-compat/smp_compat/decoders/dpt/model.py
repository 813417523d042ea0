"""DPT with SMP's signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smp_compat._not_provided import raises_for
from smp_compat.base.heads import ClassificationHead
from smp_compat.base.model import SegmentationModel, is_torch_compiling
from smp_compat.decoders.dpt.decoder import DPTDecoder
from smp_compat.encoders.timm_vit import TimmViTEncoder
from smp_core.heads import Activation
from smp_dpt import model as smp_dpt_model

__all__ = ["DPT", "ClassificationHead", "DPTDecoder", "SegmentationModel", "TimmViTEncoder", "is_torch_compiling"]


class DPT(SegmentationModel, smp_dpt_model.DPT):
    """`smp_core.create("dpt", ...)` with the arguments of SMP's DPT, in SMP's order.

    Args:
        encoder_name: name of an encoder, ours or one that was put into `smp_compat.encoders.encoders`.
        encoder_weights: name of a weight set, or None.
        **kwargs: further arguments of the encoder.

    The other arguments are those of `smp_dpt.DPT` and `smp_core.create`.

    Raises:
        KeyError: no such encoder or weights.
        OptionError: a ValueError; an option that there is not, or a value that it cannot take.
    """

    _short_name = "dpt"
    _architecture = "dpt"

    def _encoder_name(self) -> str:
        return super()._encoder_name().removeprefix("tu-")

    def __init__(
        self,
        encoder_name: str = "tu-vit_base_patch16_224.augreg_in21k",
        encoder_depth: int = 4,
        encoder_weights: str | None = "imagenet",
        encoder_output_indices: list[int] | None = None,
        decoder_readout: str = "cat",
        decoder_intermediate_channels: Sequence[int] = (256, 512, 1024, 1024),
        decoder_fusion_channels: int = 256,
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
                "encoder_output_indices": encoder_output_indices,
                "decoder_readout": decoder_readout,
                "decoder_intermediate_channels": decoder_intermediate_channels,
                "decoder_fusion_channels": decoder_fusion_channels,
                "in_channels": in_channels,
                "classes": classes,
                "activation": activation,
                "aux_params": aux_params,
            },
            kwargs,
        )


__getattr__ = raises_for(__name__)
