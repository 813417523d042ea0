"""ResNets. The class is ours, and takes our arguments."""

from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_resnet.encoder import ResNetEncoder

__all__ = ["EncoderMixin", "ResNetEncoder", "resnet_encoders"]

resnet_encoders = of_class("smp_resnet.encoder:ResNetEncoder")
