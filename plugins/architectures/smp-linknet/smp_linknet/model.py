"""Linknet (Chaurasia & Culurciello, arXiv:1707.03718) over any encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.layers.norm import Norm
from smp_core.model import SegmentationModel
from smp_linknet.decoder import LinknetDecoder


class Linknet(SegmentationModel):
    """A light decoder whose skips are added: (N, C, H, W) -> (N, classes, H, W), any H and W.

    Args:
        encoder: an `smp_core.Encoder`.
        decoder_use_norm: norm of the decoder; see `smp_core.layers.build_norm`.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        aux_params: a classification head on the deepest feature; see `smp_core.heads.ClassificationHead`.

    Raises:
        OptionError: an option has a value that it cannot take.

    >>> import smp_core
    >>> Linknet(smp_core.create_encoder("resnet18", weights=None), classes=3)(torch.zeros(1, 3, 64, 50)).shape
    torch.Size([1, 3, 64, 50])
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        decoder_use_norm: Norm = "batchnorm",
        classes: int = 1,
        activation: str | Callable[..., object] | None = None,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        channels, reductions = tuple(encoder.out_channels), tuple(encoder.reductions)  # type: ignore[arg-type]
        decoder = LinknetDecoder(channels, reductions, norm=decoder_use_norm)
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(decoder.out_channels, classes, kernel_size=1, activation=activation),
            build_classification_head(channels[-1], aux_params),
            size_multiple=reductions[-1],
        )
