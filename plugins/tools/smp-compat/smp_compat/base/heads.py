"""The last layers of a model, with SMP's signatures."""

from __future__ import annotations

from torch import nn

import smp_core.heads as ours
from smp_compat._seeds.layers import left_as_made
from smp_compat.base._standing import StandsFor
from smp_compat.base.modules import Activation, made
from smp_core.layers import activation as activations

__all__ = ["Activation", "ClassificationHead", "SegmentationHead"]


def keep_activation(head: nn.Module | None) -> None:
    """Put the activation of a head of ours under ``activation`` of its last module, where programs exchange it."""
    if isinstance(head, (ours.SegmentationHead, ours.ClassificationHead)):
        last = head[-1]
        if not isinstance(last, activations.Activation):
            head[-1] = activations.Activation(last)


@left_as_made
class SegmentationHead(ours.SegmentationHead, metaclass=StandsFor):
    """Convolution, bilinear upsampling, activation; see `smp_core.heads.SegmentationHead`."""

    _stands_for = ours.SegmentationHead

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        activation: ours.Activation = None,
        upsampling: int = 1,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, made(activation), upsampling)
        keep_activation(self)


@left_as_made
class ClassificationHead(ours.ClassificationHead, metaclass=StandsFor):
    """Pooling, dropout, linear layer, activation; see `smp_core.heads.ClassificationHead`."""

    _stands_for = ours.ClassificationHead

    def __init__(
        self,
        in_channels: int,
        classes: int,
        pooling: str = "avg",
        dropout: float = 0.2,
        activation: ours.Activation = None,
    ) -> None:
        super().__init__(in_channels, classes, pooling, dropout, made(activation))
        keep_activation(self)
