"""DenseNets. The class is ours, and takes our arguments."""

from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_densenet.encoder import DenseNetEncoder

__all__ = ["DenseNetEncoder", "EncoderMixin", "densenet_encoders"]

densenet_encoders = of_class("smp_densenet.encoder:DenseNetEncoder")
