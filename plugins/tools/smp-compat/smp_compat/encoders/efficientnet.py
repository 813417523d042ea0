"""EfficientNets with TensorFlow's padding. The class is ours, and takes our arguments."""

from smp_compat._not_provided import raises_for
from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_efficientnet.encoder import EfficientNetEncoder

__all__ = ["EfficientNetEncoder", "EncoderMixin", "efficient_net_encoders"]

efficient_net_encoders = of_class("smp_efficientnet.encoder:EfficientNetEncoder")


__getattr__ = raises_for(__name__)
