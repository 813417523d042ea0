"""Selective-kernel networks. The class is ours, and takes our arguments."""

from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_sknet.encoder import SKNetEncoder as SkNetEncoder

__all__ = ["EncoderMixin", "SkNetEncoder", "timm_sknet_encoders"]

timm_sknet_encoders = of_class("smp_sknet.encoder:SKNetEncoder")
