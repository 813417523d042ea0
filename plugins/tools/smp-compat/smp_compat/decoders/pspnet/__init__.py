"""PSPNet, with the decoder."""

from smp_compat.decoders.pspnet.model import PSPNet

__all__ = ["PSPNet"]
