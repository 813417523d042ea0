"""The decoder, with SMP's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import smp_fpn.decoder as ours
from smp_compat._not_provided import raises_for
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.decoders._pyramid import TakesEmpty, up_to

__all__ = ["FPNDecoder"]


@left_as_made
class FPNDecoder(TakesEmpty, ours.FPNDecoder, metaclass=StandsFor):
    """`smp_fpn.decoder.FPNDecoder`."""

    _stands_for = ours.FPNDecoder

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_depth: int = 5,
        pyramid_channels: int = 256,
        segmentation_channels: int = 128,
        dropout: float = 0.2,
        merge_policy: str = "add",
        interpolation_mode: str = "nearest",
    ) -> None:
        super().__init__(
            *up_to(encoder_depth, encoder_channels),
            pyramid_channels=pyramid_channels,
            segmentation_channels=segmentation_channels,
            dropout=dropout,
            merge_policy=merge_policy,
            interpolation=interpolation_mode,
        )


__getattr__ = raises_for(__name__)
