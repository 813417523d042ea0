"""VGGs. The class is ours, and takes our arguments."""

from smp_compat._not_provided import raises_for
from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_vgg.encoder import VGGEncoder

__all__ = ["EncoderMixin", "VGGEncoder", "vgg_encoders"]

vgg_encoders = of_class("smp_vgg.encoder:VGGEncoder")


__getattr__ = raises_for(__name__)
