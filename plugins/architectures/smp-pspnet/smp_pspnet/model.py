"""PSPNet (Zhao et al., Pyramid Scene Parsing Network, arXiv:1612.01105) over any encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.layers.norm import Norm
from smp_core.model import SegmentationModel
from smp_core.options import check_positive, check_probability
from smp_pspnet.decoder import PSPDecoder


class PSPNet(SegmentationModel):
    """Pyramid pooling of the deepest feature: (N, C, H, W) -> (N, classes, H, W), any H and W.

    The scores are enlarged by ``upsampling`` at last. Where that is not the encoder's reduction, 8 at the default depth
    of 3, the result is larger or smaller than the input by their ratio.

    Args:
        encoder: an `smp_core.Encoder`.
        psp_out_channels: channels after the fusion.
        decoder_use_norm: norm of the decoder; see `smp_core.layers.build_norm`.
        psp_dropout: probability that a channel is dropped in training.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        upsampling: factor from the deepest feature to the mask.
        aux_params: a classification head on the deepest feature; see `smp_core.heads.ClassificationHead`.

    Raises:
        OptionError: an option has a value that it cannot take.

    >>> import smp_core
    >>> PSPNet(smp_core.create_encoder("resnet18", weights=None, depth=3), classes=3)(torch.zeros(2, 3, 64, 50)).shape
    torch.Size([2, 3, 64, 50])
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        psp_out_channels: int = 512,
        decoder_use_norm: Norm = "batchnorm",
        psp_dropout: float = 0.2,
        classes: int = 1,
        activation: str | Callable[..., object] | None = None,
        upsampling: int = 8,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        channels, reductions = tuple(encoder.out_channels), tuple(encoder.reductions)  # type: ignore[arg-type]
        decoder = PSPDecoder(
            channels[-1],
            reductions[-1],
            check_positive("psp_out_channels", psp_out_channels),
            norm=decoder_use_norm,
            dropout=check_probability("psp_dropout", psp_dropout),
        )
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(decoder.out_channels, classes, 3, activation, check_positive("upsampling", upsampling)),
            build_classification_head(channels[-1], aux_params),
            size_multiple=decoder.reduction,
        )
