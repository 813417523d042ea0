"""DeepLabV3 (Chen et al., arXiv:1706.05587) and DeepLabV3+ (Chen et al., arXiv:1802.02611) over any encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.model import SegmentationModel
from smp_core.options import check_positive, check_probability
from smp_deeplabv3.decoder import DeepLabV3Decoder, DeepLabV3PlusDecoder

_DEFAULT_RATES = (12, 24, 36)


class DeepLabV3(SegmentationModel):
    """Dilated convolutions of several rates on the deepest feature: (N, C, H, W) -> (N, classes, H, W), any H and W.

    The encoder is dilated to an output stride of 8 or 16. A batch of one trains: the mean of the image, one value a
    channel, is then normalised with the running statistics.

    Args:
        encoder: an `smp_core.Encoder`.
        decoder_channels: channels of the decoder.
        decoder_atrous_rates: the three dilation rates. The paper's, for stride 16, are (6, 12, 18).
        decoder_aspp_separable: whether the dilated convolutions are depth-wise separable.
        decoder_aspp_dropout: probability that a value is dropped in training.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        upsampling: factor from the decoder's output to the mask; None is what gives the size of the input. Another one
            makes the result larger or smaller than the input by their ratio.
        aux_params: a classification head on the deepest feature; see `smp_core.heads.ClassificationHead`.

    Raises:
        OptionError: an option has a value that it cannot take.

    >>> import smp_core
    >>> encoder = smp_core.create_encoder("resnet18", weights=None, output_stride=8)
    >>> DeepLabV3(encoder, classes=3)(torch.zeros(1, 3, 64, 50)).shape
    torch.Size([1, 3, 64, 50])
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        decoder_channels: int = 256,
        decoder_atrous_rates: Iterable[int] = _DEFAULT_RATES,
        decoder_aspp_separable: bool = False,
        decoder_aspp_dropout: float = 0.5,
        classes: int = 1,
        activation: str | Callable[..., object] | None = None,
        upsampling: int | None = None,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        channels, reductions = tuple(encoder.out_channels), tuple(encoder.reductions)  # type: ignore[arg-type]
        decoder = DeepLabV3Decoder(
            channels[-1],
            reductions[-1],
            check_positive("decoder_channels", decoder_channels),
            decoder_atrous_rates,
            separable=bool(decoder_aspp_separable),
            dropout=check_probability("decoder_aspp_dropout", decoder_aspp_dropout),
        )
        factor = decoder.reduction if upsampling is None else check_positive("upsampling", upsampling)
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(decoder.out_channels, classes, 1, activation, factor),
            build_classification_head(channels[-1], aux_params),
            size_multiple=reductions[-1],
        )


class DeepLabV3Plus(SegmentationModel):
    """DeepLabV3 refined with the feature at 1/4: (N, C, H, W) -> (N, classes, H, W), any H and W.

    The encoder is dilated to an output stride of 16 or 8. A batch of one trains, as with `DeepLabV3`.

    Args:
        encoder: an `smp_core.Encoder` with a feature at 1/4 of the resolution.
        decoder_channels, decoder_atrous_rates, decoder_aspp_separable, decoder_aspp_dropout: as for `DeepLabV3`.
        classes, activation, aux_params: as for `DeepLabV3`.
        upsampling: factor from the decoder's output, at 1/4, to the mask. Another one than 4 makes the result larger or
            smaller than the input by their ratio.

    Raises:
        OptionError: an option has a value that it cannot take.

    >>> import smp_core
    >>> encoder = smp_core.create_encoder("resnet18", weights=None, output_stride=16)
    >>> DeepLabV3Plus(encoder, classes=3)(torch.zeros(1, 3, 64, 50)).shape
    torch.Size([1, 3, 64, 50])
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        decoder_channels: int = 256,
        decoder_atrous_rates: Iterable[int] = _DEFAULT_RATES,
        decoder_aspp_separable: bool = True,
        decoder_aspp_dropout: float = 0.5,
        classes: int = 1,
        activation: str | Callable[..., object] | None = None,
        upsampling: int = 4,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        channels, reductions = tuple(encoder.out_channels), tuple(encoder.reductions)  # type: ignore[arg-type]
        decoder = DeepLabV3PlusDecoder(
            channels,
            reductions,
            check_positive("decoder_channels", decoder_channels),
            decoder_atrous_rates,
            separable=bool(decoder_aspp_separable),
            dropout=check_probability("decoder_aspp_dropout", decoder_aspp_dropout),
        )
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(decoder.out_channels, classes, 1, activation, check_positive("upsampling", upsampling)),
            build_classification_head(channels[-1], aux_params),
            size_multiple=reductions[-1],
        )
