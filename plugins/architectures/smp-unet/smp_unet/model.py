"""Unet (Ronneberger et al., arXiv:1505.04597) over any encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.layers import DEFAULT_DECODER_CHANNELS
from smp_core.layers.norm import Norm
from smp_core.model import SegmentationModel
from smp_unet.decoder import UnetDecoder


class Unet(SegmentationModel):
    """Encoder and decoder joined by skip connections: (N, C, H, W) -> (N, classes, H, W), any H and W.

    Args:
        encoder: an `smp_core.Encoder`.
        decoder_use_norm: norm of the decoder; see `smp_core.layers.build_norm`.
        decoder_channels: channels of the decoder's blocks, deepest first. Left at its default it is cut to the number
            of blocks that the encoder's depth gives, or repeats its first entry for a depth beyond 5.
        decoder_attention_type: None or ``"scse"``.
        decoder_interpolation: ``nearest``, ``bilinear``, ``bicubic``, ``area`` or ``nearest-exact``.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        aux_params: a classification head on the deepest feature; see `smp_core.heads.ClassificationHead`.

    Raises:
        OptionError: an option has a value that it cannot take.

    >>> import smp_core
    >>> Unet(smp_core.create_encoder("resnet18", weights=None), classes=3)(torch.zeros(1, 3, 64, 50)).shape
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
        decoder = UnetDecoder(
            channels,
            reductions,
            decoder_channels,
            norm=decoder_use_norm,
            attention_type=decoder_attention_type,
            interpolation=decoder_interpolation,
            center=bool(getattr(encoder, "wants_center", getattr(encoder, "full_resolution", False))),
        )
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(decoder.out_channels, classes, kernel_size=3, activation=activation),
            build_classification_head(channels[-1], aux_params),
            # The decoder follows the sizes of the skips; only without the input's own size must they divide.
            size_multiple=1 if reductions[0] == 1 else reductions[-1],
        )
