"""Unet, with the decoder."""

from smp_compat.decoders.unet.model import Unet

__all__ = ["Unet"]
