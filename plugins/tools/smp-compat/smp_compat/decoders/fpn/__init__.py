"""FPN, with the decoder."""

from smp_compat.decoders.fpn.model import FPN

__all__ = ["FPN"]
