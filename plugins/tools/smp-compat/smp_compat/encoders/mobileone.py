"""MobileOne. The class is ours, and takes our arguments."""

from torch import nn

from smp_compat._not_provided import raises_for
from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_mobileone.encoder import MobileOneEncoder as MobileOne
from smp_mobileone.merging import merged

__all__ = ["EncoderMixin", "MobileOne", "mobileone_encoders", "reparameterize_model"]

mobileone_encoders = of_class("smp_mobileone.encoder:MobileOneEncoder")


def reparameterize_model(model: nn.Module) -> nn.Module:
    """A copy in which parallel branches are single convolutions; see `smp_mobileone.merging.merged`."""
    return merged(model)


__getattr__ = raises_for(__name__)
