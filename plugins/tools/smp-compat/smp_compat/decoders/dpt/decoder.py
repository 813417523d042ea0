"""The decoder, with SMP's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import smp_dpt.decoder as ours
from smp_compat._not_provided import raises_for
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.base.modules import Activation

__all__ = ["Activation", "DPTDecoder"]


@left_as_made
class DPTDecoder(ours.DPTDecoder, metaclass=StandsFor):
    """`smp_dpt.decoder.DPTDecoder`."""

    _stands_for = ours.DPTDecoder

    def __init__(
        self,
        encoder_out_channels: Sequence[int] = (756, 756, 756, 756),
        encoder_output_strides: Sequence[int] = (16, 16, 16, 16),
        encoder_has_prefix_tokens: bool = True,
        readout: str = "cat",
        intermediate_channels: Sequence[int] = (256, 512, 1024, 1024),
        fusion_channels: int = 256,
    ) -> None:
        super().__init__(
            encoder_out_channels,
            encoder_output_strides,
            int(encoder_has_prefix_tokens),
            readout=readout,
            intermediate_channels=intermediate_channels,
            fusion_channels=fusion_channels,
        )


__getattr__ = raises_for(__name__)
