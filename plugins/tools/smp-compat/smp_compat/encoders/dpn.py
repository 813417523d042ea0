"""Dual path networks. The class is ours, and takes our arguments."""

from smp_compat._not_provided import raises_for
from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_dpn.encoder import DPNEncoder

__all__ = ["DPNEncoder", "EncoderMixin", "dpn_encoders"]

dpn_encoders = of_class("smp_dpn.encoder:DPNEncoder")


__getattr__ = raises_for(__name__)
