"""The decoder, with SMP's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import smp_unet.decoder as ours
from smp_compat._not_provided import raises_for
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.decoders._pyramid import TakesEmpty, of_blocks
from smp_core.layers.norm import Norm

__all__ = ["UnetDecoder"]


@left_as_made
class UnetDecoder(TakesEmpty, ours.UnetDecoder, metaclass=StandsFor):
    """`smp_unet.decoder.UnetDecoder`."""

    _stands_for = ours.UnetDecoder

    def __init__(
        self,
        encoder_channels: Sequence[int],
        decoder_channels: Sequence[int],
        n_blocks: int = 5,
        use_norm: Norm = "batchnorm",
        attention_type: str | None = None,
        add_center_block: bool = False,
        interpolation_mode: str = "nearest",
    ) -> None:
        super().__init__(
            *of_blocks(n_blocks, encoder_channels),
            decoder_channels,
            norm=use_norm,
            attention_type=attention_type,
            interpolation=interpolation_mode,
            center=add_center_block,
        )


__getattr__ = raises_for(__name__)
