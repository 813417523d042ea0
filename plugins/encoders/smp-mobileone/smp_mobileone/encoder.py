"""MobileOne (Vasu et al., arXiv:2206.04040) as a feature pyramid.

Module names are those of its published weights, so that their state dicts load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_core.layers import initialise_encoder
from smp_mobileone.layers import MobileOneBlock
from smp_mobileone.merging import merged

# Pairs of a depth-wise and a point-wise block in the four stages behind the first block.
_PAIRS = (2, 8, 10, 1)


class MobileOneEncoder(EncoderBase):
    """MobileOne: features are the input, the first block, and the four stages.

    Built in the form that is trained, with parallel branches; `merged` gives the form to use.

    Args:
        widths: channels of the first block and of the four stages.
        num_branches: number of equal convolutions in each block, the first one excepted, which has one.
        attention: pairs of blocks at the end of each of the four stages that have channel attention.
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`; depth 1 to 5.

    Raises:
        OptionError: not five widths, or a number of pairs with attention that a stage does not have.
    """

    first_convolution: ClassVar[str] = "stage0.rbr_conv.0.conv"
    further_first_convolutions: ClassVar[tuple[str, ...]] = ("stage0.rbr_scale.conv",)

    def __init__(
        self,
        widths: Sequence[int],
        num_branches: int = 1,
        attention: Sequence[int] = (0, 0, 0, 0),
        *,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
    ) -> None:
        if len(widths) != 5:
            raise OptionError(f"expected five widths, got {widths!r}")
        if len(attention) != 4 or not all(0 <= few <= pairs for few, pairs in zip(attention, _PAIRS, strict=True)):
            raise OptionError(f"expected four numbers of pairs with attention, at most {_PAIRS}, got {attention!r}")
        super().__init__(
            out_channels=(in_channels, *widths),
            reductions=(1, 2, 4, 8, 16, 32),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            # The classifier of published weights, and the stages that are not built.
            ignored_keys=("linear.", *(f"stage{stage}." for stage in range(1, 5) if stage >= depth)),
        )

        def stage(number: int) -> nn.Module:
            """The stage of reduction 2**(number + 1); empty where the depth does not reach it."""
            blocks: list[nn.Module] = []
            channels, width, pairs = widths[number - 1], widths[number], _PAIRS[number - 1]
            for index in range(pairs if number < depth else 0):
                block = partial(
                    MobileOneBlock, num_branches=num_branches, attention=index >= pairs - attention[number - 1]
                )
                blocks += [block(channels, channels, 3, 2 if index == 0 else 1, channels), block(channels, width, 1)]
                channels = width
            module = nn.Sequential(*blocks)
            self.dilate(module, reduction=2 ** (number + 1))
            return module

        self.stage0: nn.Module = MobileOneBlock(in_channels, widths[0], 3, stride=2)
        self.stage1, self.stage2, self.stage3, self.stage4 = stage(1), stage(2), stage(3), stage(4)
        initialise_encoder(self)

    def merged(self) -> MobileOneEncoder:
        """A copy for inference, in which each block is one convolution; see `smp_mobileone.merging.merged`."""
        return merged(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return [[f"stage{number}"] for number in range(self.depth)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = [x]
        x = self.stage0(x)
        features.append(x)
        if self.depth >= 2:
            x = self.stage1(x)
            features.append(x)
        if self.depth >= 3:
            x = self.stage2(x)
            features.append(x)
        if self.depth >= 4:
            x = self.stage3(x)
            features.append(x)
        if self.depth >= 5:
            x = self.stage4(x)
            features.append(x)
        return features
