"""Inception-ResNet v2. The class is ours, and takes our arguments."""

from smp_compat._not_provided import raises_for
from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_inception.encoder import InceptionResNetV2Encoder

__all__ = ["EncoderMixin", "InceptionResNetV2Encoder", "inceptionresnetv2_encoders"]

inceptionresnetv2_encoders = of_class("smp_inception.encoder:InceptionResNetV2Encoder")


__getattr__ = raises_for(__name__)
