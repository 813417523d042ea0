"""Xception. The class is ours, and takes our arguments."""

from smp_compat._not_provided import raises_for
from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_xception.encoder import XceptionEncoder

__all__ = ["EncoderMixin", "XceptionEncoder", "xception_encoders"]

xception_encoders = of_class("smp_xception.encoder:XceptionEncoder")


__getattr__ = raises_for(__name__)
