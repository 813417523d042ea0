"""The decoder, with SMP's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import smp_pspnet.decoder as ours
from smp_compat._not_provided import raises_for
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.decoders._pyramid import up_to
from smp_core.layers.norm import Norm

__all__ = ["PSPDecoder"]


@left_as_made
class PSPDecoder(ours.PSPDecoder, metaclass=StandsFor):
    """`smp_pspnet.decoder.PSPDecoder`."""

    _stands_for = ours.PSPDecoder

    def __init__(
        self,
        encoder_channels: Sequence[int],
        use_norm: Norm = "batchnorm",
        out_channels: int = 512,
        dropout: float = 0.2,
    ) -> None:
        channels, reductions = up_to(len(encoder_channels) - 1, encoder_channels)
        super().__init__(channels[-1], reductions[-1], out_channels, norm=use_norm, dropout=dropout)


__getattr__ = raises_for(__name__)
