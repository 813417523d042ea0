"""PAN, with the decoder."""

from smp_compat.decoders.pan.model import PAN

__all__ = ["PAN"]
