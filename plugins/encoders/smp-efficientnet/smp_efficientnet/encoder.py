"""EfficientNet (Tan & Le, arXiv:1905.11946) and EfficientNet-Lite as feature pyramids.

Two encoders: one has the names, paddings and taps of the weights called ``efficientnet-*``, the other those of
``timm-efficientnet-*`` and ``timm-tf_efficientnet_lite*``. Neither builds the 1x1 convolution of the classifier's head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_efficientnet.blocks import (
    DepthwiseSeparable,
    InvertedResidual,
    MBConv,
    activation_layer,
    initialise,
    same_conv,
    tf_batch_norm,
)

_REDUCTIONS = (1, 2, 4, 8, 16, 32)
_DROP_PATH = 0.2  # of the last block; linear in the index of the block
_HEAD = 4  # width of the classifier's 1x1 convolution, relative to the last stage
_LITE_HEAD = 1280  # EfficientNet-Lite, which has no squeeze-and-excitation, does not scale it


class _Stage(NamedTuple):
    kernel_size: int
    stride: int
    expansion: int


_STAGES = (
    _Stage(3, 1, 1),
    _Stage(3, 2, 6),
    _Stage(5, 2, 6),
    _Stage(3, 2, 6),
    _Stage(5, 1, 6),
    _Stage(5, 2, 6),
    _Stage(3, 1, 6),
)


class _Block(NamedTuple):
    """What one block is built with."""

    stage: int
    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    expansion: int
    drop_path: float


def _blocks(widths: Sequence[int], repeats: Sequence[int]) -> Iterator[_Block]:
    """Every block of the network, in order."""
    if len(widths) != len(_STAGES) + 1 or len(repeats) != len(_STAGES):
        raise OptionError(
            f"expected {len(_STAGES) + 1} widths (of the stem and of each stage) and {len(_STAGES)} repeats, "
            f"got {len(widths)} and {len(repeats)}"
        )
    index, channels = 0, widths[0]
    for number, (stage, width, count) in enumerate(zip(_STAGES, widths[1:], repeats, strict=True)):
        for position in range(count):
            stride = stage.stride if position == 0 else 1
            rate = _DROP_PATH * index / sum(repeats)
            yield _Block(number, channels, width, stage.kernel_size, stride, stage.expansion, rate)
            index, channels = index + 1, width


def _head_shapes(convolution: str, norm: str, in_channels: int, out_channels: int) -> dict[str, tuple[int, ...]]:
    """What published state dicts hold of the 1x1 convolution of the classifier's head, and of its norm."""
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {
        f"{convolution}.weight": (out_channels, in_channels, 1, 1),
        **{f"{norm}.{name}": (out_channels,) for name in vectors},
        f"{norm}.num_batches_tracked": (),
    }


class EfficientNetEncoder(EncoderBase):
    """EfficientNet with TensorFlow's padding: features are the input, the stem, and four blocks out of a flat list.

    TensorFlow pads by the size of the map. Here the padding is that of the nominal resolution, at every size: strided
    convolutions whose nominal input is even pad one row and column less before than after.

    Args:
        widths: channels of the stem and of each of the seven stages.
        repeats: number of blocks of each stage.
        taps: indices of the blocks after which features of reduction 4, 8, 16 and 32 are taken. They are not the last
            ones of their stages.
        resolution: nominal height and width of images.
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`; depth 2 to 5.

    Raises:
        OptionError: a wrong number of widths, repeats or taps; depth 1.
    """

    first_convolution: ClassVar[str] = "_conv_stem"
    channels_last: ClassVar[bool] = True

    def __init__(
        self,
        widths: Sequence[int],
        repeats: Sequence[int],
        taps: Sequence[int],
        resolution: int,
        *,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
    ) -> None:
        blocks = list(_blocks(widths, repeats))
        if len(taps) != 4 or list(taps) != sorted({*taps}) or taps[-1] >= len(blocks):
            raise OptionError(f"expected 4 increasing block indices below {len(blocks)} as taps, got {tuple(taps)}")
        if depth < 2:
            raise OptionError(f"{type(self).__name__}: depth must be in 2..5, got {depth}")
        built = taps[depth - 2] + 1 if depth <= 5 else len(blocks)
        super().__init__(
            out_channels=(in_channels, widths[0], *(blocks[tap].out_channels for tap in taps)),
            reductions=_REDUCTIONS,
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            # The classifier and its 1x1 convolution, and the blocks that are not built.
            ignored_keys=(
                *("_conv_head.", "_bn1.", "_fc."),
                *(f"_blocks.{index}." for index in range(built, len(blocks))),
            ),
        )
        self._head = (widths[-1], _HEAD * widths[-1])
        self.taps = list(taps)
        self._conv_stem = same_conv(in_channels, widths[0], 3, 2, size=resolution)
        self._bn0 = tf_batch_norm(widths[0])
        self.act = nn.SiLU(inplace=True)
        self._blocks = nn.ModuleList()
        size = (resolution + 1) // 2
        for index, block in enumerate(blocks[:built]):
            reduction = 4 * 2 ** sum(index > tap for tap in taps)
            # Dilation makes strides one, and padding symmetric.
            stride = block.stride if reduction <= output_stride else 1
            module = MBConv(
                *(block.in_channels, block.out_channels, block.kernel_size, stride, block.expansion),
                size=size,
                drop_path=block.drop_path,
            )
            self.dilate(module, reduction)
            self._blocks.append(module)
            size = (size + block.stride - 1) // block.stride
        initialise(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return [["_conv_stem", "_bn0"], *self.stages_of_list("_blocks", self.taps)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = [x]
        x = self.act(self._bn0(self._conv_stem(x)))
        features.append(x)
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self.taps:
                features.append(x)
        return features

    def unused_shapes(self) -> dict[str, tuple[int, ...]]:
        """See `smp_core.encoder.EncoderBase.unused_shapes`."""
        return _head_shapes("_conv_head", "_bn1", *self._head)


_ACTIVATIONS = ("swish", "relu6")

# Number of stages that each depth takes.
_STAGES_AT_DEPTH = (0, 0, 2, 3, 5, 7)


class TimmEfficientNetEncoder(EncoderBase):
    """EfficientNet with symmetric padding: features are the input, the stem, and the ends of stages 2, 3, 5 and 7.

    Module names are timm's.

    Args:
        widths: channels of the stem and of each of the seven stages.
        repeats: number of blocks of each stage.
        activation: ``"swish"``, or ``"relu6"`` as in EfficientNet-Lite.
        squeeze_excite: whether blocks have squeeze-and-excitation; those of EfficientNet-Lite have not.
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`; depth 1 to 5.

    Raises:
        OptionError: a wrong number of widths or repeats, or an unknown activation.
    """

    first_convolution: ClassVar[str] = "conv_stem"
    channels_last: ClassVar[bool] = True

    def __init__(
        self,
        widths: Sequence[int],
        repeats: Sequence[int],
        activation: str = "swish",
        squeeze_excite: bool = True,
        *,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
    ) -> None:
        if activation not in _ACTIVATIONS:
            raise OptionError(f"unknown activation {activation!r}; expected one of {', '.join(_ACTIVATIONS)}")
        blocks = list(_blocks(widths, repeats))
        built = _STAGES_AT_DEPTH[depth] if 1 <= depth <= 5 else len(_STAGES)
        super().__init__(
            out_channels=(in_channels, widths[0], *(widths[count] for count in _STAGES_AT_DEPTH[2:])),
            reductions=_REDUCTIONS,
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            # The classifier and its 1x1 convolution, and the stages that are not built.
            ignored_keys=(
                *("conv_head.", "bn2.", "classifier."),
                *(f"blocks.{number}." for number in range(built, len(_STAGES))),
            ),
        )
        self._head = (widths[-1], _HEAD * widths[-1] if squeeze_excite else _LITE_HEAD)
        self.conv_stem = nn.Conv2d(in_channels, widths[0], 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.act = activation_layer(activation)
        self.taps = [count - 1 for count in _STAGES_AT_DEPTH[2:]]
        self.blocks = nn.ModuleList()
        for number in range(built):
            stage = nn.Sequential(
                *(_timm_block(block, activation, squeeze_excite) for block in blocks if block.stage == number)
            )
            self.dilate(stage, reduction=4 * 2 ** sum(number > tap for tap in self.taps))
            self.blocks.append(stage)
        initialise(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return [["conv_stem", "bn1"], *self.stages_of_list("blocks", self.taps)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = [x]
        x = self.act(self.bn1(self.conv_stem(x)))
        features.append(x)
        for number, stage in enumerate(self.blocks):
            x = stage(x)
            if number in self.taps:
                features.append(x)
        return features

    def unused_shapes(self) -> dict[str, tuple[int, ...]]:
        """See `smp_core.encoder.EncoderBase.unused_shapes`."""
        return _head_shapes("conv_head", "bn2", *self._head)


def _timm_block(block: _Block, activation: str, squeeze_excite: bool) -> nn.Module:
    if block.expansion == 1:
        return DepthwiseSeparable(
            *(block.in_channels, block.out_channels, block.kernel_size),
            activation=activation,
            squeeze_excite=squeeze_excite,
            drop_path=block.drop_path,
        )
    return InvertedResidual(
        *(block.in_channels, block.out_channels, block.kernel_size, block.stride, block.expansion),
        activation=activation,
        squeeze_excite=squeeze_excite,
        drop_path=block.drop_path,
    )
