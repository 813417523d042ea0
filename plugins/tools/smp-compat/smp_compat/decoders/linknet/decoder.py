"""The decoder, with SMP's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import smp_linknet.decoder as ours
from smp_compat._errors import NotProvidedError
from smp_compat._not_provided import raises_for
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.decoders._pyramid import TakesEmpty, of_blocks
from smp_core.layers.norm import Norm

__all__ = ["LinknetDecoder"]


@left_as_made
class LinknetDecoder(TakesEmpty, ours.LinknetDecoder, metaclass=StandsFor):
    """`smp_linknet.decoder.LinknetDecoder`.

    Raises:
        NotProvidedError: another last width than 32.
    """

    _stands_for = ours.LinknetDecoder

    def __init__(
        self,
        encoder_channels: Sequence[int],
        prefinal_channels: int = 32,
        n_blocks: int = 5,
        use_norm: Norm = "batchnorm",
    ) -> None:
        if prefinal_channels != 32:
            raise NotProvidedError(f"prefinal_channels={prefinal_channels}: the last width of Linknet is 32 here")
        super().__init__(*of_blocks(n_blocks, encoder_channels), norm=use_norm)


__getattr__ = raises_for(__name__)
