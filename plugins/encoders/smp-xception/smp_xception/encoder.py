"""Xception (Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, arXiv:1610.02357) as a pyramid.

The layers are those of timm's `legacy_xception`, whose module names are those of the published weights.
"""

from __future__ import annotations

from typing import Any, ClassVar

import timm
import torch
from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_core.layers import initialise_encoder

# Of the layers that the published weights name, those that each feature adds to the one before.
_LAYERS = (
    ("conv1", "bn1", "conv2", "bn2"),
    ("block1",),
    ("block2",),
    tuple(f"block{number}" for number in range(3, 12)),
    ("block12", "conv3", "bn3", "conv4", "bn4"),
)


class XceptionEncoder(EncoderBase):
    """Xception: features are the input, the stem after its second ReLU, blocks 1, 2 and 11, and the last norm.

    The two convolutions of the stem are padded by one pixel, so that every size is halved, rounding up. The last
    feature has not passed through a ReLU, as decoders were trained on it.

    Args:
        in_channels, depth: see `smp_core.encoder.EncoderBase`; depth 1 to 5.
        output_stride: 32, as the strides are in max-pools, which dilation does not replace.

    Raises:
        OptionError: another output stride.
    """

    first_convolution: ClassVar[str] = "conv1"
    channels_last: ClassVar[bool] = True

    def __init__(self, *, in_channels: int = 3, depth: int = 5, output_stride: int = 32) -> None:
        if output_stride != 32:
            raise OptionError(f"xception has output stride 32 only, got {output_stride}")
        super().__init__(
            out_channels=(in_channels, 64, 128, 256, 728, 2048),
            reductions=(1, 2, 4, 8, 16, 32),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            # The classifier of published weights, and the layers that are not built.
            ignored_keys=("fc.", "last_linear.", *(f"{name}." for names in _LAYERS[depth:] for name in names)),
        )
        # Without memory: only what is kept below is ever allocated, and initialised once.
        with torch.device("meta"):
            source: Any = timm.create_model("legacy_xception", pretrained=False, in_chans=in_channels, num_classes=0)
        built = {name for names in _LAYERS[:depth] for name in names}

        def layer(name: str) -> nn.Module:
            """The layer of that name; nothing where the depth does not reach it."""
            module: nn.Module = getattr(source, name) if name in built else nn.Identity()
            return module

        self.conv1, self.bn1 = layer("conv1"), layer("bn1")
        self.conv2, self.bn2 = layer("conv2"), layer("bn2")
        self.block1, self.block2, self.block3 = layer("block1"), layer("block2"), layer("block3")
        self.block4, self.block5, self.block6 = layer("block4"), layer("block5"), layer("block6")
        self.block7, self.block8, self.block9 = layer("block7"), layer("block8"), layer("block9")
        self.block10, self.block11, self.block12 = layer("block10"), layer("block11"), layer("block12")
        self.conv3, self.bn3 = layer("conv3"), layer("bn3")
        self.conv4, self.bn4 = layer("conv4"), layer("bn4")
        self.relu = nn.ReLU(inplace=True)
        for convolution in (source.conv1, source.conv2):
            convolution.padding = (1, 1)
        self.to_empty(device=torch.get_default_device())
        initialise_encoder(self, mode="fan_in", nonlinearity="linear")

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return [list(names) for names in _LAYERS[: self.depth]]

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = [x]
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        features.append(x)
        if self.depth >= 2:
            x = self.block1(x)
            features.append(x)
        if self.depth >= 3:
            x = self.block2(x)
            features.append(x)
        if self.depth >= 4:
            x = self.block5(self.block4(self.block3(x)))
            x = self.block8(self.block7(self.block6(x)))
            x = self.block11(self.block10(self.block9(x)))
            features.append(x)
        if self.depth >= 5:
            x = self.block12(x)
            x = self.relu(self.bn3(self.conv3(x)))
            x = self.bn4(self.conv4(x))
            features.append(x)
        return features
