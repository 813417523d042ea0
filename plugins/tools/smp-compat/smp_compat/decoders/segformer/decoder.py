"""The decoder, with SMP's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import smp_segformer.decoder as ours
from smp_compat._not_provided import raises_for
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.decoders._pyramid import TakesEmpty, up_to

__all__ = ["SegformerDecoder"]


@left_as_made
class SegformerDecoder(TakesEmpty, ours.SegformerDecoder, metaclass=StandsFor):
    """`smp_segformer.decoder.SegformerDecoder`."""

    _stands_for = ours.SegformerDecoder

    def __init__(
        self, encoder_channels: Sequence[int], encoder_depth: int = 5, segmentation_channels: int = 256
    ) -> None:
        super().__init__(*up_to(encoder_depth, encoder_channels), segmentation_channels)


__getattr__ = raises_for(__name__)
