"""UnetPlusPlus, with the decoder."""

from smp_compat.decoders.unetplusplus.model import UnetPlusPlus

__all__ = ["UnetPlusPlus"]
