"""The last layers of a model, with SMP's signatures."""

from __future__ import annotations

import smp_core.heads as ours
from smp_compat.base.modules import Activation
from smp_core.heads import ClassificationHead

__all__ = ["Activation", "ClassificationHead", "SegmentationHead"]


class SegmentationHead(ours.SegmentationHead):
    """Convolution, bilinear upsampling, activation; see `smp_core.heads.SegmentationHead`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        activation: ours.Activation = None,
        upsampling: int = 1,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, activation, upsampling)
