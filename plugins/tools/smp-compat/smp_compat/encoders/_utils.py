"""What encoders written for segmentation_models_pytorch call."""

from __future__ import annotations

from torch import nn

from smp_compat.encoders._base import first_convolution, replace_strides_with_dilation, take_channels

__all__ = ["patch_first_conv", "replace_strides_with_dilation"]


def patch_first_conv(
    model: nn.Module, new_in_channels: int, default_in_channels: int = 3, pretrained: bool = True
) -> None:
    """Make the first convolution of ``default_in_channels`` channels one of others.

    Args:
        model: changed in place; where there is no such convolution, not at all.
        new_in_channels: wanted.
        default_in_channels: of the convolution that is meant.
        pretrained: whether its weight is made to fit, see `smp_core.tensors.channels.fit_weight`, or drawn anew.
    """
    found = first_convolution(model, default_in_channels)
    if found is not None:
        take_channels(found, new_in_channels, pretrained)
