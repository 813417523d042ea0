"""EfficientNets with symmetric padding. The class is ours, and takes our arguments."""

from smp_compat._not_provided import raises_for
from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_efficientnet.encoder import TimmEfficientNetEncoder

__all__ = [
    "EfficientNetBaseEncoder",
    "EfficientNetEncoder",
    "EfficientNetLiteEncoder",
    "EncoderMixin",
    "timm_efficientnet_encoders",
]

EfficientNetBaseEncoder = EfficientNetEncoder = EfficientNetLiteEncoder = TimmEfficientNetEncoder

timm_efficientnet_encoders = of_class("smp_efficientnet.encoder:TimmEfficientNetEncoder")


__getattr__ = raises_for(__name__)
