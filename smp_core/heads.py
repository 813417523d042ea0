"""The last layers of a model: class scores per pixel, and class scores per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from smp_core.errors import OptionError
from smp_core.layers import build_activation, initialise_head
from smp_core.options import check_aux_params

Activation = str | Callable[..., object] | None


class SegmentationHead(nn.Sequential):
    """Convolution, bilinear upsampling, activation: (N, in_channels, h, w) -> (N, classes, h * f, w * f).

    Args:
        in_channels: channels of the decoder's output.
        classes: channels of the result.
        kernel_size: of the convolution, padded to keep the size.
        activation: see `smp_core.layers.build_activation`.
        upsampling: the factor f; corners are aligned.
    """

    def __init__(
        self, in_channels: int, classes: int, kernel_size: int = 3, activation: Activation = None, upsampling: int = 1
    ) -> None:
        if upsampling < 1:
            raise OptionError(f"upsampling must be at least 1, got {upsampling}")
        super().__init__(
            nn.Conv2d(in_channels, classes, kernel_size, padding=kernel_size // 2),
            nn.UpsamplingBilinear2d(scale_factor=upsampling) if upsampling > 1 else nn.Identity(),
            build_activation(activation),
        )
        initialise_head(self)


class ClassificationHead(nn.Sequential):
    """Pool, flatten, dropout, linear, activation: (N, in_channels, h, w) -> (N, classes).

    Args:
        in_channels: channels of the deepest feature.
        classes: number of scores per image.
        pooling: ``"avg"`` or ``"max"``.
        dropout: probability; 0 for none.
        activation: see `smp_core.layers.build_activation`.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        pooling: str = "avg",
        dropout: float = 0.2,
        activation: Activation = None,
    ) -> None:
        pools: dict[str, Callable[[], nn.Module]] = {
            "avg": lambda: nn.AdaptiveAvgPool2d(1),
            "max": lambda: nn.AdaptiveMaxPool2d(1),
        }
        if pooling not in pools:
            raise OptionError(f"unknown pooling {pooling!r}; expected one of {', '.join(pools)}")
        super().__init__(
            pools[pooling](),
            nn.Flatten(),
            nn.Dropout(p=dropout) if dropout else nn.Identity(),
            nn.Linear(in_channels, classes),
            build_activation(activation),
        )
        initialise_head(self)


def build_classification_head(in_channels: int, aux_params: Mapping[str, Any] | None) -> ClassificationHead | None:
    """Build the head that ``aux_params`` describes, or None where there are none.

    Args:
        in_channels: channels of the deepest feature.
        aux_params: ``classes`` and, optionally, ``pooling``, ``dropout``, ``activation``.

    Raises:
        OptionError: an unknown key, or no ``classes``; lists the keys.
    """
    if aux_params is None:
        return None
    check_aux_params(aux_params)
    return ClassificationHead(in_channels, **aux_params)
