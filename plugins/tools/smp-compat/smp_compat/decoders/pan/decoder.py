"""The decoder, with SMP's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import smp_pan.decoder as ours
from smp_compat._not_provided import raises_for
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.decoders._pyramid import TakesEmpty, up_to

__all__ = ["PANDecoder"]


@left_as_made
class PANDecoder(TakesEmpty, ours.PANDecoder, metaclass=StandsFor):
    """`smp_pan.decoder.PANDecoder`."""

    _stands_for = ours.PANDecoder

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_depth: int,
        decoder_channels: int,
        interpolation_mode: str = "bilinear",
    ) -> None:
        super().__init__(*up_to(encoder_depth, encoder_channels), decoder_channels, interpolation=interpolation_mode)


__getattr__ = raises_for(__name__)
