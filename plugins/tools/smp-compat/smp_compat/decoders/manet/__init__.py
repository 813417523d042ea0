"""MAnet, with the decoder."""

from smp_compat.decoders.manet.model import MAnet

__all__ = ["MAnet"]
