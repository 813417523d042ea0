"""The decoder, with SMP's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import smp_unetplusplus.decoder as ours
from smp_compat._errors import NotProvidedError
from smp_compat._not_provided import raises_for
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.decoders._pyramid import TakesEmpty, of_blocks
from smp_core.layers.norm import Norm

__all__ = ["UnetPlusPlusDecoder"]


@left_as_made
class UnetPlusPlusDecoder(TakesEmpty, ours.UnetPlusPlusDecoder, metaclass=StandsFor):
    """`smp_unetplusplus.decoder.UnetPlusPlusDecoder`.

    Raises:
        NotProvidedError: ``center``, which segmentation_models_pytorch's models never ask for but over VGG.
    """

    _stands_for = ours.UnetPlusPlusDecoder

    def __init__(
        self,
        encoder_channels: Sequence[int],
        decoder_channels: Sequence[int],
        n_blocks: int = 5,
        use_norm: Norm = "batchnorm",
        attention_type: str | None = None,
        interpolation_mode: str = "nearest",
        center: bool = False,
    ) -> None:
        if center:
            raise NotProvidedError("center=True: Unet++ has no centre block here; leave it out")
        super().__init__(
            *of_blocks(n_blocks, encoder_channels),
            decoder_channels,
            norm=use_norm,
            attention_type=attention_type,
            interpolation=interpolation_mode,
        )


__getattr__ = raises_for(__name__)
