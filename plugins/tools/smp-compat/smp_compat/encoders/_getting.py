"""Building encoders alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import smp_core
from smp_compat._errors import keys_as_in_smp
from smp_compat._seeds.encoder import draw
from smp_compat.encoders._registered import spec_of
from smp_core.registry import resolve_encoder


def get_encoder(
    name: str, in_channels: int = 3, depth: int = 5, weights: str | None = None, output_stride: int = 32, **kwargs: Any
) -> nn.Module:
    """Build an encoder alone; see `smp_core.create_encoder`.

    Args:
        name: of an encoder.
        in_channels: channels of the input.
        depth: features down to a reduction of 2**depth.
        weights: name of a weight set, or None.
        output_stride: 8 or 16 dilates the stages beyond, where the encoder can.
        **kwargs: further arguments of the encoder.

    Raises:
        KeyError: no such encoder or weights.
        ValueError: a depth or stride that it does not have.
    """
    spec_of(name)  # what is wrong with one of the program's own is said as it is
    start = torch.get_rng_state()
    with keys_as_in_smp():
        encoder = smp_core.create_encoder(
            name,
            in_channels=in_channels,
            depth=depth,
            weights=weights,
            output_stride=output_stride,
            options=kwargs or None,
        )
    draw(encoder, resolve_encoder(name), start, has_weights=weights is not None)
    return encoder
