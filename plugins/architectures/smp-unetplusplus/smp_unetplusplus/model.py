"""Unet++ (Zhou et al., arXiv:1807.10165) over any encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.layers import DEFAULT_DECODER_CHANNELS
from smp_core.layers.norm import Norm
from smp_core.model import SegmentationModel
from smp_unetplusplus.decoder import UnetPlusPlusDecoder


class UnetPlusPlus(SegmentationModel):
    """Unet with nested, dense skip connections: (N, C, H, W) -> (N, classes, H, W), any H and W.

    Args:
        encoder: an `smp_core.Encoder`.
        decoder_use_norm: norm of the decoder; see `smp_core.layers.build_norm`.
        decoder_channels: channels of the blocks that climb from the deepest feature, deepest first. Left at its default
            it is cut to the number of blocks that the encoder's depth gives.
        decoder_attention_type: None or ``"scse"``.
        decoder_interpolation: ``nearest``, ``bilinear``, ``bicubic``, ``area`` or ``nearest-exact``.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        aux_params: a classification head on the deepest feature; see `smp_core.heads.ClassificationHead`.

    Raises:
        OptionError: an option has a value that it cannot take.

    >>> import smp_core
    >>> UnetPlusPlus(smp_core.create_encoder("resnet18", weights=None), classes=3)(torch.zeros(1, 3, 64, 50)).shape
    torch.Size([1, 3, 64, 50])
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        decoder_use_norm: Norm = "batchnorm",
        decoder_channels: Sequence[int] = DEFAULT_DECODER_CHANNELS,
        decoder_attention_type: str | None = None,
        decoder_interpolation: str = "nearest",
        classes: int = 1,
        activation: str | Callable[..., object] | None = None,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        channels, reductions = tuple(encoder.out_channels), tuple(encoder.reductions)  # type: ignore[arg-type]
        decoder = UnetPlusPlusDecoder(
            channels,
            reductions,
            decoder_channels,
            norm=decoder_use_norm,
            attention_type=decoder_attention_type,
            interpolation=decoder_interpolation,
            # Over such encoders (VGG) segmentation_models_pytorch builds a block of this name and never calls it.
            ignored_keys=("center.",) if getattr(encoder, "full_resolution", False) else (),
        )
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(decoder.out_channels, classes, kernel_size=3, activation=activation),
            build_classification_head(channels[-1], aux_params),
            size_multiple=reductions[-1],
        )
