"""Inception v4. The class is ours, and takes our arguments."""

from smp_compat._not_provided import raises_for
from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_inception.encoder import InceptionV4Encoder

__all__ = ["EncoderMixin", "InceptionV4Encoder", "inceptionv4_encoders"]

inceptionv4_encoders = of_class("smp_inception.encoder:InceptionV4Encoder")


__getattr__ = raises_for(__name__)
