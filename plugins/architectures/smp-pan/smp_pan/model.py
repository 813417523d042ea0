"""PAN (Li et al., Pyramid Attention Network for Semantic Segmentation, arXiv:1805.10180) over any encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.model import SegmentationModel
from smp_core.options import check_positive
from smp_pan.decoder import PANDecoder


class PAN(SegmentationModel):
    """Attention over a pyramid, and from deep to shallow: (N, C, H, W) -> (N, classes, H, W), any H and W.

    The encoder is dilated to an output stride of 16, or left at 32. A batch of one trains: means of the image, one
    value a channel, are then normalised with the running statistics. A graph exported for sizes that vary takes maps
    of at least 16x16 from the encoder: images of 256 pixels at stride 16, 512 at stride 32.

    Args:
        encoder: an `smp_core.Encoder` with a feature at 1/4 of the resolution, and deeper ones.
        decoder_channels: channels of the decoder.
        decoder_interpolation: how the gated blocks upsample: ``nearest``, ``bilinear``, ``bicubic``, ``area`` or
            ``nearest-exact``.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        upsampling: factor from the decoder's output, at 1/4, to the mask. Another one than 4 makes the result larger or
            smaller than the input by their ratio.
        aux_params: a classification head on the deepest feature; see `smp_core.heads.ClassificationHead`.

    Raises:
        OptionError: an option has a value that it cannot take.

    >>> import smp_core
    >>> encoder = smp_core.create_encoder("resnet18", weights=None, output_stride=16)
    >>> PAN(encoder, classes=3)(torch.zeros(1, 3, 64, 50)).shape
    torch.Size([1, 3, 64, 50])
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        decoder_channels: int = 32,
        decoder_interpolation: str = "bilinear",
        classes: int = 1,
        activation: str | Callable[..., object] | None = None,
        upsampling: int = 4,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        channels, reductions = tuple(encoder.out_channels), tuple(encoder.reductions)  # type: ignore[arg-type]
        decoder = PANDecoder(
            channels,
            reductions,
            check_positive("decoder_channels", decoder_channels),
            interpolation=decoder_interpolation,
        )
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(decoder.out_channels, classes, 3, activation, check_positive("upsampling", upsampling)),
            build_classification_head(channels[-1], aux_params),
            size_multiple=reductions[-1],
        )
