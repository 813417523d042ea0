"""The decoder, with SMP's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import smp_upernet.decoder as ours
from smp_compat._not_provided import raises_for
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.decoders._pyramid import TakesEmpty, up_to
from smp_core.layers.norm import Norm

__all__ = ["UPerNetDecoder"]


@left_as_made
class UPerNetDecoder(TakesEmpty, ours.UPerNetDecoder, metaclass=StandsFor):
    """`smp_upernet.decoder.UPerNetDecoder`."""

    _stands_for = ours.UPerNetDecoder

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_depth: int = 5,
        decoder_channels: int = 256,
        use_norm: Norm = "batchnorm",
    ) -> None:
        super().__init__(*up_to(encoder_depth, encoder_channels), decoder_channels, norm=use_norm)


__getattr__ = raises_for(__name__)
