"""MobileNet v2. The class is ours, and takes our arguments."""

from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_mobilenet.encoder import MobileNetV2Encoder

__all__ = ["EncoderMixin", "MobileNetV2Encoder", "mobilenet_encoders"]

mobilenet_encoders = of_class("smp_mobilenet.encoder:MobileNetV2Encoder")
