"""DPT, with the decoder."""

from smp_compat.decoders.dpt.model import DPT

__all__ = ["DPT"]
