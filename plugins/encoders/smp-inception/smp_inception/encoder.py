"""Inception-v4 and Inception-ResNet-v2 (Szegedy et al., arXiv:1602.07261) as feature pyramids.

The layers are those of timm's `inception_v4` and `inception_resnet_v2`, whose module names are those of the published
weights. Every 3x3 convolution and every max-pool is padded by one pixel, so that every size is halved, rounding up.
"""

from __future__ import annotations

from typing import Any, ClassVar

import timm
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_core.inference import Walk
from smp_core.inference.folding import split_norms
from smp_core.layers import initialise_encoder

_REDUCTIONS = (1, 2, 4, 8, 16, 32)

# Inception-v4: the indices of the layers whose results are the features.
_V4_TAPS = (2, 4, 8, 14, 21)

# Inception-ResNet-v2: the layers that each feature adds to the one before.
_RESNET_V2_LAYERS = (
    ("conv2d_1a", "conv2d_2a", "conv2d_2b"),
    ("maxpool_3a", "conv2d_3b", "conv2d_4a"),
    ("maxpool_5a", "mixed_5b", "repeat"),
    ("mixed_6a", "repeat_1"),
    ("mixed_7a", "repeat_2", "block8", "conv2d_7b"),
)


class InceptionV4Encoder(EncoderBase):
    """Inception-v4: features are the input and the results of layers 2, 4, 8, 14 and 21.

    Args:
        in_channels, depth: see `smp_core.encoder.EncoderBase`; depth 1 to 5.
        output_stride: 32, as many strides are in max-pools, which dilation does not replace.

    Raises:
        OptionError: another output stride.
    """

    first_convolution: ClassVar[str] = "features.0.conv"
    channels_last: ClassVar[bool] = True

    def __init__(self, *, in_channels: int = 3, depth: int = 5, output_stride: int = 32) -> None:
        _check_output_stride(output_stride)
        super().__init__(
            out_channels=(in_channels, 64, 192, 384, 1024, 1536),
            reductions=_REDUCTIONS,
            in_channels=in_channels,
            depth=depth,
            # The classifier of published weights, and the layers that are not built.
            ignored_keys=(
                "last_linear.",
                *(f"features.{index}." for index in range(_V4_TAPS[depth - 1] + 1, _V4_TAPS[-1] + 1)),
            ),
        )
        source = _outline("inception_v4", in_channels)
        self.features: nn.Sequential = source.features[: _V4_TAPS[depth - 1] + 1]
        self._taps = list(_V4_TAPS)
        _finish(self)

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: timm's norms, which hold an activation, taken apart."""
        split_norms(self, BatchNormAct2d, ("drop", "act"))
        return walk.over(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return self.stages_of_list("features", self._taps)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = [x]
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                features.append(x)
        return features


class InceptionResNetV2Encoder(EncoderBase):
    """Inception-ResNet-v2: features are the input, the stem's second half, and what follows it.

    They end with ``conv2d_2b``, ``conv2d_4a``, ``repeat``, ``repeat_1`` and ``conv2d_7b``.

    Args:
        in_channels, depth: see `smp_core.encoder.EncoderBase`; depth 1 to 5.
        output_stride: 32, as many strides are in max-pools, which dilation does not replace.

    Raises:
        OptionError: another output stride.
    """

    first_convolution: ClassVar[str] = "conv2d_1a.conv"
    channels_last: ClassVar[bool] = True

    def __init__(self, *, in_channels: int = 3, depth: int = 5, output_stride: int = 32) -> None:
        _check_output_stride(output_stride)
        super().__init__(
            out_channels=(in_channels, 64, 192, 320, 1088, 1536),
            reductions=_REDUCTIONS,
            in_channels=in_channels,
            depth=depth,
            # The classifier of published weights, and the layers that are not built.
            ignored_keys=(
                *("last_linear.", "classif."),
                *(f"{name}." for names in _RESNET_V2_LAYERS[depth:] for name in names),
            ),
        )
        source = _outline("inception_resnet_v2", in_channels)
        built = {name for names in _RESNET_V2_LAYERS[:depth] for name in names}

        def layer(name: str) -> nn.Module:
            """The layer of that name; nothing where the depth does not reach it."""
            module: nn.Module = getattr(source, name) if name in built else nn.Identity()
            return module

        self.conv2d_1a, self.conv2d_2a, self.conv2d_2b = layer("conv2d_1a"), layer("conv2d_2a"), layer("conv2d_2b")
        self.maxpool_3a, self.conv2d_3b, self.conv2d_4a = layer("maxpool_3a"), layer("conv2d_3b"), layer("conv2d_4a")
        self.maxpool_5a, self.mixed_5b, self.repeat = layer("maxpool_5a"), layer("mixed_5b"), layer("repeat")
        self.mixed_6a, self.repeat_1 = layer("mixed_6a"), layer("repeat_1")
        self.mixed_7a, self.repeat_2 = layer("mixed_7a"), layer("repeat_2")
        self.block8, self.conv2d_7b = layer("block8"), layer("conv2d_7b")
        _finish(self)

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: timm's norms, which hold an activation, taken apart."""
        split_norms(self, BatchNormAct2d, ("drop", "act"))
        return walk.over(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return [list(names) for names in _RESNET_V2_LAYERS[: self.depth]]

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = [x]
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        features.append(x)
        if self.depth >= 2:
            x = self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x)))
            features.append(x)
        if self.depth >= 3:
            x = self.repeat(self.mixed_5b(self.maxpool_5a(x)))
            features.append(x)
        if self.depth >= 4:
            x = self.repeat_1(self.mixed_6a(x))
            features.append(x)
        if self.depth >= 5:
            x = self.block8(self.repeat_2(self.mixed_7a(x)))
            x = self.conv2d_7b(x)
            features.append(x)
        return features


def _check_output_stride(output_stride: int) -> None:
    if output_stride != 32:
        raise OptionError(f"inception encoders have output stride 32 only, got {output_stride}")


def _outline(model: str, in_channels: int) -> Any:
    """A model of timm's without memory: only what an encoder keeps of it is ever allocated, and initialised once."""
    with torch.device("meta"):
        return timm.create_model(model, pretrained=False, in_chans=in_channels, num_classes=0)


def _finish(encoder: nn.Module) -> None:
    """Allocate, pad, initialise."""
    encoder.to_empty(device=torch.get_default_device())
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.padding = (1, 1)
        elif isinstance(layer, nn.MaxPool2d):
            layer.padding = 1
    initialise_encoder(encoder, mode="fan_in")
