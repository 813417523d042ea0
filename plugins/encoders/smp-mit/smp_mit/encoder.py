"""The Mix Transformer, the encoder of SegFormer (Xie et al., arXiv:2105.15203), as a feature pyramid.

Written from the paper; module names are those of its published weights, so that their state dicts load as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_mit.layers import Block, OverlapPatchEmbed

# Of the four stages, in all sizes of the family: attention heads, what attention reduces its keys by, edge and distance
# of the patches.
_HEADS = (1, 2, 5, 8)
_REDUCTIONS = (8, 4, 2, 1)
_KERNELS = (7, 3, 3, 3)
_STRIDES = (4, 2, 2, 2)
_EXPANSION = 4


class MixTransformerEncoder(EncoderBase):
    """Mix Transformer: features are the input and the normalised result of each stage; there is none of reduction 2.

    Args:
        widths: channels of the four stages.
        blocks: number of blocks of each of them.
        drop_path: rate of the last block; it grows linearly from 0 at the first.
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`; depth 2 to 5.

    Raises:
        OptionError: not four widths and four numbers of blocks, a width that its heads do not divide, or a depth of 1,
            at which there is no stage.
    """

    first_convolution: ClassVar[str] = "patch_embed1.proj"

    def __init__(
        self,
        widths: Sequence[int],
        blocks: Sequence[int],
        drop_path: float = 0.1,
        *,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
    ) -> None:
        _check(widths, blocks, depth)
        missing = [number for number in range(1, 5) if number >= depth]
        super().__init__(
            out_channels=(in_channels, *widths),
            reductions=(1, 4, 8, 16, 32),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            # The classifier of published weights, and the stages that are not built.
            ignored_keys=(
                "head.",
                *(f"{part}{number}." for number in missing for part in ("patch_embed", "block", "norm")),
            ),
        )
        self._widths, self._blocks, self._drop_path = tuple(widths), tuple(blocks), drop_path
        first, second, third, fourth = (self._stage(number) for number in range(1, 5))
        # Patches before blocks: the order of parameters that published models have, by which an optimizer's state goes.
        self.patch_embed1, self.patch_embed2 = first[0], second[0]
        self.patch_embed3, self.patch_embed4 = third[0], fourth[0]
        self.block1, self.norm1 = first[1:]
        self.block2, self.norm2 = second[1:]
        self.block3, self.norm3 = third[1:]
        self.block4, self.norm4 = fourth[1:]
        _initialise(self)

    def _stage(self, number: int) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Patches, blocks and norm of the stage of reduction 2**(number + 1); empty beyond the depth."""
        if number >= self.depth:
            return nn.Identity(), nn.Identity(), nn.Identity()
        index = number - 1
        width = self._widths[index]
        channels = self.in_channels if index == 0 else self._widths[index - 1]
        patches = OverlapPatchEmbed(channels, width, _KERNELS[index], _STRIDES[index])
        before, last = sum(self._blocks[:index]), max(sum(self._blocks) - 1, 1)
        reduction = 2 ** (number + 1)
        is_dilated = reduction > self.output_stride
        blocks = nn.Sequential(
            *(
                Block(
                    *(width, _HEADS[index], _REDUCTIONS[index], _EXPANSION, self._drop_path * position / last),
                    is_dilated=is_dilated,
                )
                for position in range(before, before + self._blocks[index])
            )
        )
        for module in (patches, blocks):
            self.dilate(module, reduction)
        return patches, blocks, nn.LayerNorm(width, eps=1e-6)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return [[f"patch_embed{number}", f"block{number}", f"norm{number}"] for number in range(1, self.depth)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`; the features of the stages are channels-last."""
        features = [x]
        x = self.norm1(self.block1(self.patch_embed1(x))).permute(0, 3, 1, 2)
        features.append(x)
        if self.depth >= 3:
            x = self.norm2(self.block2(self.patch_embed2(x))).permute(0, 3, 1, 2)
            features.append(x)
        if self.depth >= 4:
            x = self.norm3(self.block3(self.patch_embed3(x))).permute(0, 3, 1, 2)
            features.append(x)
        if self.depth >= 5:
            x = self.norm4(self.block4(self.patch_embed4(x))).permute(0, 3, 1, 2)
            features.append(x)
        return features


def _check(widths: Sequence[int], blocks: Sequence[int], depth: int) -> None:
    if len(widths) != 4 or len(blocks) != 4:
        raise OptionError(f"expected four widths and four numbers of blocks, got {widths!r} and {blocks!r}")
    for width, heads in zip(widths, _HEADS, strict=True):
        if width % heads:
            raise OptionError(f"widths must be divisible by the numbers of heads {_HEADS}, got {widths!r}")
    if depth < 2:
        raise OptionError(f"MixTransformerEncoder: depth must be in 2..5, got {depth}: its first stage has reduction 4")


def _initialise(encoder: nn.Module) -> None:
    """Truncated normal for linear layers, Kaiming normal (fan out) for convolutions, zero biases, identical norms."""
    for layer in encoder.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
        elif isinstance(layer, nn.Conv2d):
            fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
        if isinstance(layer, (nn.Linear, nn.Conv2d)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
