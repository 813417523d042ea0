"""The decoder, with SMP's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import smp_manet.decoder as ours
from smp_compat._errors import NotProvidedError
from smp_compat._not_provided import raises_for
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.decoders._pyramid import TakesEmpty, of_blocks
from smp_core.layers.norm import Norm

__all__ = ["MAnetDecoder"]


@left_as_made
class MAnetDecoder(TakesEmpty, ours.MAnetDecoder, metaclass=StandsFor):
    """`smp_manet.decoder.MAnetDecoder`.

    Raises:
        NotProvidedError: gates that reduce by another factor than 16.
    """

    _stands_for = ours.MAnetDecoder

    def __init__(
        self,
        encoder_channels: Sequence[int],
        decoder_channels: Sequence[int],
        n_blocks: int = 5,
        reduction: int = 16,
        use_norm: Norm = "batchnorm",
        pab_channels: int = 64,
        interpolation_mode: str = "nearest",
    ) -> None:
        if reduction != 16:
            raise NotProvidedError(f"reduction={reduction}: the gates of MAnet reduce by 16 here")
        super().__init__(
            *of_blocks(n_blocks, encoder_channels),
            decoder_channels,
            pab_channels=pab_channels,
            norm=use_norm,
            interpolation=interpolation_mode,
        )


__getattr__ = raises_for(__name__)
