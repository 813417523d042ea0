"""FPN (Kirillov et al., arXiv:1901.02446) over any encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.model import SegmentationModel
from smp_fpn.decoder import FPNDecoder


class FPN(SegmentationModel):
    """A feature pyramid, every level of it convolved and merged: (N, C, H, W) -> (N, classes, H, W), any H and W.

    Args:
        encoder: an `smp_core.Encoder`.
        decoder_pyramid_channels: width of the pyramid.
        decoder_segmentation_channels: width of the convolved levels, a multiple of 32.
        decoder_merge_policy: ``add`` sums the convolved levels, ``cat`` concatenates them.
        decoder_dropout: probability that a channel of the merged map is dropped in training.
        decoder_interpolation: ``nearest``, ``bilinear``, ``bicubic``, ``area`` or ``nearest-exact``, in the pyramid.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        upsampling: of the merged map, which is at 1/4 of the input for an encoder of depth 5, at 1/2 for depth 4, at
            its full size for depth 3; that factor gives masks of the input's size.
        aux_params: a classification head on the deepest feature; see `smp_core.heads.ClassificationHead`.

    Raises:
        OptionError: an option has a value that it cannot take.

    >>> import smp_core
    >>> FPN(smp_core.create_encoder("resnet18", weights=None), classes=3)(torch.zeros(1, 3, 64, 50)).shape
    torch.Size([1, 3, 64, 50])
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        decoder_pyramid_channels: int = 256,
        decoder_segmentation_channels: int = 128,
        decoder_merge_policy: str = "add",
        decoder_dropout: float = 0.2,
        decoder_interpolation: str = "nearest",
        classes: int = 1,
        activation: str | Callable[..., object] | None = None,
        upsampling: int = 4,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        channels, reductions = tuple(encoder.out_channels), tuple(encoder.reductions)  # type: ignore[arg-type]
        decoder = FPNDecoder(
            channels,
            reductions,
            pyramid_channels=decoder_pyramid_channels,
            segmentation_channels=decoder_segmentation_channels,
            dropout=decoder_dropout,
            merge_policy=decoder_merge_policy,
            interpolation=decoder_interpolation,
        )
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(
                decoder.out_channels, classes, kernel_size=1, activation=activation, upsampling=upsampling
            ),
            build_classification_head(channels[-1], aux_params),
            size_multiple=reductions[-1],
        )
