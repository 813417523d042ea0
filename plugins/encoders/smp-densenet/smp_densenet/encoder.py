"""DenseNet (Huang et al., arXiv:1608.06993) as a feature pyramid.

Module names are torchvision's, so that published state dicts load as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_core.layers import initialise_encoder
from smp_core.layers.recording import is_recording
from smp_densenet.checkpoint import current_keys
from smp_densenet.dense_block import DenseBlock

_BOTTLENECK = 4
"""Width of every published model's dense layers, in units of the growth."""


class HalvingAvgPool2d(nn.Module):
    """The mean of each 2x2 square: (N, C, H, W) -> (N, C, H / 2, W / 2), rounded down, and at least 1."""

    def forward(self, x: Tensor) -> Tensor:
        # A recorded graph holds for every size that can be halved, and cannot ask for it.
        if is_recording(x):
            return functional.avg_pool2d(x, 2)
        rows = 2 if x.shape[2] > 1 else 1
        columns = 2 if x.shape[3] > 1 else 1
        return functional.avg_pool2d(x, [rows, columns])


class Transition(nn.Module):
    """What is between two dense blocks; the feature is in its middle.

    Args:
        channels: of the dense block before it.
        activates: whether the first half is built.
        reduces: whether the second half is built.
    """

    def __init__(self, channels: int, activates: bool, reduces: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels) if activates else nn.Identity()
        self.relu = nn.ReLU(inplace=True) if activates else nn.Identity()
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False) if reduces else nn.Identity()
        self.pool = HalvingAvgPool2d()
        self.reduces = reduces

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> the feature, of the same shape, and what goes on, (N, C / 2, H / 2, W / 2).

        A mean of pixels and a 1x1 convolution commute; the mean first leaves the convolution a quarter of its work.
        """
        feature: Tensor = self.relu(self.norm(x))
        if not self.reduces:
            return feature, feature
        return feature, self.conv(self.pool(feature))


class DenseNetFeatures(nn.Module):
    """The backbone, up to a depth; parts that the depth does not reach hold no parameters.

    Args:
        layers, growth, stem, in_channels, depth: as of `DenseNetEncoder`.

    Attributes:
        out_channels: of all six features, whatever the depth.
    """

    def __init__(self, layers: Sequence[int], growth: int, stem: int, in_channels: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.conv0 = nn.Conv2d(in_channels, stem, 7, stride=2, padding=3, bias=False)
        self.norm0 = nn.BatchNorm2d(stem)
        self.relu0 = nn.ReLU(inplace=True)
        self.pool0 = nn.MaxPool2d(3, stride=2, padding=1)
        counts = [number if index + 2 <= depth else 0 for index, number in enumerate(layers)]
        widths = block_widths(layers, growth, stem)
        inputs = (stem, *(width // 2 for width in widths))

        def block(index: int) -> DenseBlock:
            return DenseBlock(counts[index], inputs[index], growth, _BOTTLENECK)

        def transition(index: int) -> Transition:
            return Transition(widths[index], activates=index + 2 <= depth, reduces=index + 3 <= depth)

        self.denseblock1, self.transition1 = block(0), transition(0)
        self.denseblock2, self.transition2 = block(1), transition(1)
        self.denseblock3, self.transition3 = block(2), transition(2)
        self.denseblock4 = block(3)
        self.norm5 = nn.BatchNorm2d(widths[3]) if depth >= 5 else nn.Identity()

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x]
        x = self.relu0(self.norm0(self.conv0(x)))
        features.append(x)
        if self.depth >= 2:
            feature, x = self.transition1(self.denseblock1(self.pool0(x)))
            features.append(feature)
        if self.depth >= 3:
            feature, x = self.transition2(self.denseblock2(x))
            features.append(feature)
        if self.depth >= 4:
            feature, x = self.transition3(self.denseblock3(x))
            features.append(feature)
        if self.depth >= 5:
            features.append(self.norm5(self.denseblock4(x)))
        return features


def block_widths(layers: Sequence[int], growth: int, stem: int) -> list[int]:
    """Channels after each dense block; half of them go on.

    >>> block_widths((6, 12, 24, 16), 32, 64)
    [256, 512, 1024, 1024]
    """
    widths, channels = [], stem
    for number in layers:
        widths.append(channels + number * growth)
        channels = widths[-1] // 2
    return widths


class DenseNetEncoder(EncoderBase):
    """DenseNet: features are the input, the stem after its ReLU, each transition before it reduces, the last norm.

    Args:
        layers: number of dense layers of each of the four blocks.
        growth: channels that each of them adds.
        stem: channels of the first convolution.
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`; depth 1 to 5, output stride 32.

    Raises:
        OptionError: not four blocks, or an output stride other than 32: a transition's pool cannot be dilated.

    >>> import torch
    >>> encoder = DenseNetEncoder((6, 12, 24, 16), growth=32, stem=64, depth=3)
    >>> [tuple(feature.shape[1:]) for feature in encoder(torch.zeros(1, 3, 64, 64))]
    [(3, 64, 64), (64, 32, 32), (256, 16, 16), (512, 8, 8)]
    """

    first_convolution: ClassVar[str] = "features.conv0"

    def __init__(
        self,
        layers: Sequence[int],
        growth: int,
        stem: int,
        *,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
    ) -> None:
        if len(layers) != 4:
            raise OptionError(f"layers: expected the number of dense layers of each of 4 blocks, got {tuple(layers)}")
        if output_stride != 32:
            raise OptionError(f"DenseNetEncoder cannot be dilated: output_stride must be 32, got {output_stride}")
        super().__init__(
            out_channels=(in_channels, stem, *block_widths(layers, growth, stem)),
            reductions=(1, 2, 4, 8, 16, 32),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            ignored_keys=_ignored_keys(depth),
        )
        self.features = DenseNetFeatures(layers, growth, stem, in_channels, depth)
        initialise_encoder(self, mode="fan_in")

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`: a feature is in the middle of a transition, whose second half is the next stage's."""
        stages = [["conv0", "norm0"]]
        for number in range(1, self.depth):
            reduction = [f"transition{number - 1}.conv"] if number > 1 else []
            stages.append([*reduction, f"denseblock{number}", f"transition{number}.norm" if number < 4 else "norm5"])
        return [[f"features.{name}" for name in names] for names in stages]

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features: list[Tensor] = self.features(x)
        return features

    def to_own_keys(self, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `EncoderBase.to_own_keys`; keys of the older spelling of published files are taken too."""
        return super().to_own_keys(current_keys(state_dict))


def _ignored_keys(depth: int) -> tuple[str, ...]:
    """Keys of the classifier of published weights, and of what a depth does not build."""
    keys = ["classifier."]
    for number in range(1, 4):
        if depth < number + 1:
            keys.append(f"features.denseblock{number}.")
            keys.append(f"features.transition{number}.")
        elif depth < number + 2:
            keys.append(f"features.transition{number}.conv.")
    return (*keys, "features.denseblock4.", "features.norm5.") if depth < 5 else tuple(keys)
