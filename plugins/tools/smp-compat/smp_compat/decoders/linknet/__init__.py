"""Linknet, with the decoder."""

from smp_compat.decoders.linknet.model import Linknet

__all__ = ["Linknet"]
