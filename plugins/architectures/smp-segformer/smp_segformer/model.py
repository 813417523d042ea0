"""Segformer (Xie et al., arXiv:2105.15203): its decoder over any encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.model import SegmentationModel
from smp_segformer.decoder import SegformerDecoder


class Segformer(SegmentationModel):
    """Every level projected, resized and fused by linear maps: (N, C, H, W) -> (N, classes, H, W), any H and W.

    Args:
        encoder: an `smp_core.Encoder`.
        decoder_segmentation_channels: channels of the projections and of the decoder's result.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        upsampling: of the decoder's result, which is at 1/4 of the input; 4 gives masks of the input's size.
        aux_params: a classification head on the deepest feature; see `smp_core.heads.ClassificationHead`.

    Raises:
        OptionError: an option has a value that it cannot take.

    >>> import smp_core
    >>> Segformer(smp_core.create_encoder("resnet18", weights=None), classes=3)(torch.zeros(2, 3, 64, 50)).shape
    torch.Size([2, 3, 64, 50])
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        decoder_segmentation_channels: int = 256,
        classes: int = 1,
        activation: str | Callable[..., object] | None = None,
        upsampling: int = 4,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        channels, reductions = tuple(encoder.out_channels), tuple(encoder.reductions)  # type: ignore[arg-type]
        decoder = SegformerDecoder(channels, reductions, decoder_segmentation_channels)
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(
                decoder.out_channels, classes, kernel_size=1, activation=activation, upsampling=upsampling
            ),
            build_classification_head(channels[-1], aux_params),
            size_multiple=max(reductions[-1], decoder.reduction),
        )
