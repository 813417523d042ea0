"""SKNet (Li et al., arXiv:1903.06586) as a feature pyramid: a ResNet whose 3x3 convolutions are selective kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_core.layers import initialise_encoder
from smp_sknet.blocks import find_block


class SKNetEncoder(EncoderBase):
    """SKNet: features are the input, the stem after its ReLU, and the four stages.

    Args:
        block: ``"basic"``, or ``"bottleneck"`` of ResNeXt 32x4d.
        layers: number of blocks of each of the four stages.
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`; depth 1 to 5. Dilation takes the place of
            the branches' own, as all convolutions of a stage get the same.

    Raises:
        OptionError: an unknown block, or another number of stages.
    """

    first_convolution: ClassVar[str] = "conv1"
    channels_last: ClassVar[bool] = True

    def __init__(
        self,
        block: str,
        layers: Sequence[int],
        *,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
    ) -> None:
        kind = find_block(block)
        widths = (64, 128, 256, 512)
        if len(layers) != len(widths):
            raise OptionError(f"expected {len(widths)} numbers of blocks, one for each stage, got {tuple(layers)}")
        super().__init__(
            out_channels=(in_channels, 64, *(kind.expansion * width for width in widths)),
            reductions=(1, 2, 4, 8, 16, 32),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            # The classifier of published weights, and the stages that are not built.
            ignored_keys=("fc.", *(f"layer{stage}." for stage in range(1, 5) if stage >= depth)),
        )
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.act1 = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

        def stage(number: int) -> nn.Module:
            """The stage of reduction 2**(number + 1); empty where the depth does not reach it."""
            width, blocks = widths[number - 1], []
            channels = 64 if number == 1 else widths[number - 2] * kind.expansion
            for index in range(layers[number - 1] if number < depth else 0):
                blocks.append(kind(channels, width, 2 if number > 1 and index == 0 else 1))
                channels = width * kind.expansion
            module = nn.Sequential(*blocks)
            self.dilate(module, reduction=2 ** (number + 1))
            return module

        self.layer1, self.layer2, self.layer3, self.layer4 = stage(1), stage(2), stage(3), stage(4)
        initialise_encoder(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return [["conv1", "bn1"], *([f"layer{number}"] for number in range(1, self.depth))]

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = [x]
        x = self.act1(self.bn1(self.conv1(x)))
        features.append(x)
        if self.depth >= 2:
            x = self.layer1(self.maxpool(x))
            features.append(x)
        if self.depth >= 3:
            x = self.layer2(x)
            features.append(x)
        if self.depth >= 4:
            x = self.layer3(x)
            features.append(x)
        if self.depth >= 5:
            x = self.layer4(x)
            features.append(x)
        return features
