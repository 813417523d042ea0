"""VGG (Simonyan & Zisserman, arXiv:1409.1556) as a feature pyramid.

Layers are numbered as in torchvision's `features`, so that published state dicts load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_core.layers import initialise_encoder
from smp_core.layers.recomputing import recompute
from smp_core.layers.recording import is_recording

_WIDTHS = (64, 128, 256, 512, 512)
_CHANNELS = (*_WIDTHS, 512)
_REDUCTIONS = (1, 2, 4, 8, 16, 32)


class HalvingMaxPool2d(nn.Module):
    """The largest of each 2x2 square: (N, C, H, W) -> (N, C, H / 2, W / 2), rounded down, and at least 1."""

    def forward(self, x: Tensor) -> Tensor:
        # A recorded graph holds for every size that can be halved, and cannot ask for it.
        if is_recording(x):
            return functional.max_pool2d(x, 2)
        rows = 2 if x.shape[2] > 1 else 1
        columns = 2 if x.shape[3] > 1 else 1
        return functional.max_pool2d(x, [rows, columns])


class VGGEncoder(EncoderBase):
    """VGG: a feature is what a stage of 3x3 convolutions gives, before it is pooled; the last one is pooled.

    There are five stages, of reduction 1 to 16; the feature of reduction 32 is the last of them after the final pool.
    ``features[0]`` is thus the first stage, of 64 channels at full resolution, and not the input.

    Args:
        layers: number of convolutions of each of the five stages.
        batch_norm: whether each convolution is followed by a batch norm.
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`; depth 1 to 5, output stride 32.

    Raises:
        OptionError: not five stages, or an output stride other than 32: there is nothing to dilate.

    >>> import torch
    >>> [tuple(f.shape[1:]) for f in VGGEncoder((1, 1, 2, 2, 2), False, depth=2)(torch.zeros(1, 3, 64, 64))]
    [(64, 64, 64), (128, 32, 32), (256, 16, 16)]
    """

    first_convolution: ClassVar[str] = "features.0"
    channels_last: ClassVar[bool] = True
    full_resolution: ClassVar[bool] = True

    def __init__(
        self,
        layers: Sequence[int],
        batch_norm: bool,
        *,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
    ) -> None:
        if len(layers) != len(_WIDTHS):
            raise OptionError(f"layers: expected the number of convolutions of each of 5 stages, got {tuple(layers)}")
        if output_stride != 32:
            raise OptionError(f"VGGEncoder cannot be dilated: output_stride must be 32, got {output_stride}")
        modules, pools = _features(layers, batch_norm, in_channels)
        built = pools[depth] if 1 <= depth < len(pools) else len(modules)
        super().__init__(
            out_channels=_CHANNELS,
            reductions=_REDUCTIONS,
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            # The classifier of published weights, and the layers that are not built.
            ignored_keys=("classifier.", *(f"features.{index}." for index in range(built, len(modules)))),
        )
        self.features = nn.Sequential(*modules[:built])
        self.tapped = [index for index in pools if index < built]
        self.recomputes = False
        initialise_encoder(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`; a stage begins with the pool before it, and the last one is a pool alone."""
        return self.stages_of_list("features", [*(index - 1 for index in self.tapped), len(self.features) - 1])

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """See `smp_core.Encoder`: there are no blocks, so that whole stages are recomputed."""
        self.recomputes = enabled

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features: list[Tensor] = []
        if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
            if self.recomputes and self.training:
                for start, stop in pairwise([0, *self.tapped, len(self.features)]):
                    x = recompute(self.features[start:stop], x)
                    features.append(x)
                return features
        for index, layer in enumerate(self.features):
            if index in self.tapped:
                features.append(x)
            x = layer(x)
        features.append(x)
        return features


def _features(layers: Sequence[int], batch_norm: bool, in_channels: int) -> tuple[list[nn.Module], list[int]]:
    """All layers in their published order, and the places of the five pools among them."""
    modules: list[nn.Module] = []
    pools: list[int] = []
    channels = in_channels
    for width, number in zip(_WIDTHS, layers, strict=True):
        for _ in range(number):
            modules.append(nn.Conv2d(channels, width, 3, padding=1))
            if batch_norm:
                modules.append(nn.BatchNorm2d(width))
            modules.append(nn.ReLU(inplace=True))
            channels = width
        pools.append(len(modules))
        modules.append(HalvingMaxPool2d())
    return modules, pools
