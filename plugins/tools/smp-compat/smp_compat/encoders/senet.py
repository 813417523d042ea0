"""Squeeze-and-excitation networks. The class is ours, and takes our arguments."""

from smp_compat._not_provided import raises_for
from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_senet.encoder import SENetEncoder

__all__ = ["EncoderMixin", "SENetEncoder", "senet_encoders"]

senet_encoders = of_class("smp_senet.encoder:SENetEncoder")


__getattr__ = raises_for(__name__)
