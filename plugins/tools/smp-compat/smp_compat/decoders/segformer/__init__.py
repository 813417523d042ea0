"""Segformer, with the decoder."""

from smp_compat.decoders.segformer.model import Segformer

__all__ = ["Segformer"]
