"""The decoders, with SMP's arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import smp_deeplabv3.decoder as ours
from smp_compat._not_provided import raises_for
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.decoders._pyramid import TakesEmpty, up_to

__all__ = ["DeepLabV3Decoder", "DeepLabV3PlusDecoder"]


@left_as_made
class DeepLabV3Decoder(ours.DeepLabV3Decoder, metaclass=StandsFor):
    """`smp_deeplabv3.decoder.DeepLabV3Decoder` over an encoder of output stride 8."""

    _stands_for = ours.DeepLabV3Decoder

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        atrous_rates: Iterable[int],
        aspp_separable: bool,
        aspp_dropout: float,
    ) -> None:
        super().__init__(in_channels, 8, out_channels, atrous_rates, separable=aspp_separable, dropout=aspp_dropout)


@left_as_made
class DeepLabV3PlusDecoder(TakesEmpty, ours.DeepLabV3PlusDecoder, metaclass=StandsFor):
    """`smp_deeplabv3.decoder.DeepLabV3PlusDecoder`."""

    _stands_for = ours.DeepLabV3PlusDecoder

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_depth: int,
        out_channels: int,
        atrous_rates: Iterable[int],
        output_stride: int,
        aspp_separable: bool,
        aspp_dropout: float,
    ) -> None:
        channels, reductions = up_to(encoder_depth, encoder_channels, output_stride)
        super().__init__(
            channels, reductions, out_channels, atrous_rates, separable=aspp_separable, dropout=aspp_dropout
        )


__getattr__ = raises_for(__name__)
