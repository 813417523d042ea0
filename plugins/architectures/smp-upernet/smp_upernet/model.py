"""UPerNet (Xiao et al., Unified Perceptual Parsing for Scene Understanding, arXiv:1807.10221) over any encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.layers.norm import Norm
from smp_core.model import SegmentationModel
from smp_core.options import check_positive
from smp_upernet.decoder import UPerNetDecoder


class UPerNet(SegmentationModel):
    """Pyramid pooling and a feature pyramid network: (N, C, H, W) -> (N, classes, H, W), any H and W.

    A batch of one trains: the mean of the image, one value a channel, is then normalised with the running statistics.

    Args:
        encoder: an `smp_core.Encoder` with a feature at 1/4 of the resolution, and a deeper one.
        decoder_channels: channels of the decoder.
        decoder_use_norm: norm of the decoder; see `smp_core.layers.build_norm`. The encoder's features are normalised
            over their channels in any case.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        upsampling: factor from the decoder's output, at 1/4, to the mask. Another one than 4 makes the result larger or
            smaller than the input by their ratio.
        aux_params: a classification head on the deepest feature; see `smp_core.heads.ClassificationHead`.

    Raises:
        OptionError: an option has a value that it cannot take.

    >>> import smp_core
    >>> UPerNet(smp_core.create_encoder("resnet18", weights=None), classes=3)(torch.zeros(1, 3, 64, 50)).shape
    torch.Size([1, 3, 64, 50])
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        decoder_channels: int = 256,
        decoder_use_norm: Norm = "batchnorm",
        classes: int = 1,
        activation: str | Callable[..., object] | None = None,
        upsampling: int = 4,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        channels, reductions = tuple(encoder.out_channels), tuple(encoder.reductions)  # type: ignore[arg-type]
        decoder = UPerNetDecoder(
            channels, reductions, check_positive("decoder_channels", decoder_channels), norm=decoder_use_norm
        )
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(decoder.out_channels, classes, 1, activation, check_positive("upsampling", upsampling)),
            build_classification_head(channels[-1], aux_params),
            size_multiple=reductions[-1],
        )
