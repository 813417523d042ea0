"""UPerNet, with the decoder."""

from smp_compat.decoders.upernet.model import UPerNet

__all__ = ["UPerNet"]
