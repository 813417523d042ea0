"""ResNet (He et al., arXiv:1512.03385) and ResNeXt (Xie et al., arXiv:1611.05431) as feature pyramids.

Module names are torchvision's, so that published state dicts load as they are. In a bottleneck the 3x3 convolution
has the stride, as in every published set of weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_core.layers import initialise_encoder
from smp_core.layers.filling import NoFilling


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: (N, in_channels, H, W) -> (N, width, H / stride, W / stride).

    Args:
        in_channels: channels of the input.
        width: channels of the result.
        stride: of the first convolution and of the shortcut.
        groups, width_per_group: only 1 and 64 exist for this block.
    """

    expansion: ClassVar[int] = 1

    def __init__(self, in_channels: int, width: int, stride: int, groups: int, width_per_group: int) -> None:
        super().__init__()
        if (groups, width_per_group) != (1, 64):
            raise OptionError(f"a basic block has groups=1 and width_per_group=64, got {groups} and {width_per_group}")
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.downsample(x)
        out = self.relu(out)
        return out


class Bottleneck(nn.Module):
    """1x1, (grouped) 3x3, 1x1 convolutions and a shortcut: (N, in_channels, H, W) -> (N, 4 * width, H / stride, ...).

    Args:
        in_channels: channels of the input.
        width: a quarter of the channels of the result.
        stride: of the 3x3 convolution and of the shortcut.
        groups: groups of the 3x3 convolution.
        width_per_group: channels of each group, per 64 of ``width``.
    """

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, width: int, stride: int, groups: int, width_per_group: int) -> None:
        super().__init__()
        inner = width * width_per_group // 64 * groups
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += self.downsample(x)
        out = self.relu(out)
        return out


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


_BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class ResNetEncoder(EncoderBase):
    """ResNet or ResNeXt: features are the input, the stem after its ReLU, and the four stages.

    Args:
        block: ``"basic"`` or ``"bottleneck"``.
        layers: number of blocks of each of the four stages.
        groups, width_per_group: cardinality and width of ResNeXt's grouped convolutions; 1 and 64 is ResNet.
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`; depth 1 to 5.
    """

    first_convolution: ClassVar[str] = "conv1"
    channels_last: ClassVar[bool] = True

    def __init__(
        self,
        block: str,
        layers: Sequence[int],
        groups: int = 1,
        width_per_group: int = 64,
        *,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
    ) -> None:
        if block not in _BLOCKS:
            raise OptionError(f"unknown block {block!r}; expected one of {', '.join(_BLOCKS)}")
        kind = _BLOCKS[block]
        widths = (64, 128, 256, 512)
        super().__init__(
            out_channels=(in_channels, 64, *(kind.expansion * width for width in widths)),
            reductions=(1, 2, 4, 8, 16, 32),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            # The classifier of published weights, and the stages that are not built.
            ignored_keys=("fc.", *(f"layer{stage}." for stage in range(1, 5) if stage >= depth)),
        )
        with NoFilling():  # initialised once, below
            self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

        def stage(number: int) -> nn.Module:
            """The stage of reduction 2**(number + 1); empty where the depth does not reach it."""
            width, blocks = widths[number - 1], []
            channels = 64 if number == 1 else widths[number - 2] * kind.expansion
            for index in range(layers[number - 1] if number < depth else 0):
                stride = 2 if number > 1 and index == 0 else 1
                blocks.append(kind(channels, width, stride, groups, width_per_group))
                channels = width * kind.expansion
            module = nn.Sequential(*blocks)
            self.dilate(module, reduction=2 ** (number + 1))
            return module

        with NoFilling():
            self.layer1, self.layer2, self.layer3, self.layer4 = stage(1), stage(2), stage(3), stage(4)
        initialise_encoder(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return [["conv1", "bn1"], *([f"layer{number}"] for number in range(1, self.depth))]

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = [x]
        x = self.relu(self.bn1(self.conv1(x)))
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
