"""Tiny encoders, over which architectures are tested. They satisfy the `smp_core.Encoder` protocol and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.encoder import whole_patches


def _width(reduction: int) -> int:
    """16, 24, 32, ...: all different, so that channels of one level cannot pass for those of another."""
    return 8 + 8 * reduction.bit_length()


class TinyPyramid(nn.Module):
    """One convolution a level, with batch norm and ReLU. Built dilated, the levels repeat the output stride.

    Args:
        reductions: of the levels, powers of two, strictly increasing.
        in_channels: channels of the input.
        output_stride: the largest reduction that is reached; None for no limit.
        full_resolution: whether the level of reduction 1 is a stage of the encoder, as in VGG, and not the input.
        patches: whether a level cuts its input into whole patches and drops the rest, as ConvNeXt and Swin do;
            otherwise it pads, and sizes round up.
    """

    def __init__(
        self,
        reductions: Sequence[int],
        *,
        in_channels: int = 3,
        output_stride: int | None = None,
        full_resolution: bool = False,
        patches: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.full_resolution = full_resolution
        self.reductions: tuple[int, ...] = tuple(min(item, output_stride or item) for item in reductions)
        stages: list[nn.Module] = [_stage(in_channels, _width(1), 1, 1, patches) if full_resolution else nn.Identity()]
        channels = [_width(1) if full_resolution else in_channels]
        for level in range(1, len(reductions)):
            stride = self.reductions[level] // self.reductions[level - 1]
            dilation = reductions[level] // self.reductions[level]
            channels.append(_width(reductions[level]))
            stages.append(_stage(channels[-2], channels[-1], stride, dilation, patches))
        self.out_channels: tuple[int, ...] = tuple(channels)
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def _stage(in_channels: int, out_channels: int, stride: int, dilation: int, patches: bool) -> nn.Module:
    convolution = (
        _Patches(in_channels, out_channels, stride)
        if patches and stride > 1
        else nn.Conv2d(in_channels, out_channels, 3, stride, dilation, dilation, bias=False)
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class _Patches(nn.Module):
    """A linear map of whole patches: (N, in_channels, H, W) -> (N, out_channels, H / size, W / size), rounded down.

    A map smaller than a patch is padded to one, so that an image of any size has features.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.projection = nn.Conv2d(in_channels, out_channels, size, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] < self.size:
            x = functional.pad(x, [0, 0, 0, self.size - x.shape[2]])
        if x.shape[3] < self.size:
            x = functional.pad(x, [0, self.size - x.shape[3]])
        out: Tensor = self.projection(x)
        return out


class TinyTransformer(nn.Module):
    """A plain transformer: patches of 16 x 16, a class token, one block a feature, no position embedding.

    Args:
        depth: number of features.
        in_channels: channels of the input.
    """

    tokens = True

    def __init__(self, depth: int, *, in_channels: int = 3, channels: int = 32, patch: int = 16) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.patch = patch
        self.out_channels: tuple[int, ...] = (channels,) * depth
        self.reductions: tuple[int, ...] = (patch,) * depth
        self.embedding = nn.Conv2d(in_channels, channels, patch, patch)
        self.class_token = nn.Parameter(0.02 * torch.ones(1, 1, channels))
        self.blocks = nn.ModuleList(_TokenBlock(channels) for _ in range(depth))

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """(N, in_channels, H, W) -> features (N, C, H / 16, W / 16), rounded up, and prefix tokens (N, 1, C)."""
        x = self.embedding(whole_patches(x, self.patch))
        height, width = x.shape[2], x.shape[3]
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
        features: list[Tensor] = []
        prefix_tokens: list[Tensor] = []
        for block in self.blocks:
            x = block(x)
            features.append(x[:, 1:].transpose(1, 2).unflatten(2, [height, width]).contiguous())
            prefix_tokens.append(x[:, :1])
        return features, prefix_tokens


class _TokenBlock(nn.Module):
    """Attention and a linear layer, each with a norm before and a shortcut around: (N, L, C), same out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.query_key_value = nn.Linear(channels, 3 * channels)
        self.norm2 = nn.LayerNorm(channels)
        self.linear = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.query_key_value(self.norm1(x)).chunk(3, dim=-1)
        x = x + functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = x + functional.gelu(self.linear(self.norm2(x)))
        return out


@dataclass(frozen=True, kw_only=True)
class EncoderKind:
    """A kind of tiny encoder, which can be built for every depth from its smallest on, and for every output stride.

    Attributes:
        name: how ids call it.
        min_depth: the smallest depth at which it differs from an image.
        factory: ``factory(depth, in_channels, output_stride)``.
        tokens: whether it returns prefix tokens.
    """

    name: str
    min_depth: int
    factory: Callable[[int, int, int | None], nn.Module]
    tokens: bool = False

    def build(self, *, depth: int, in_channels: int = 3, output_stride: int | None = None) -> nn.Module:
        """The encoder: in training mode, with random weights."""
        return self.factory(depth, in_channels, output_stride)

    def largest_reduction(self, depth: int) -> int:
        """Of the deepest feature, not dilated; of a transformer's one more, which decoders make of them."""
        return 32 if self.tokens else int(2**depth)


def _powers(depth: int, first: int = 1) -> tuple[int, ...]:
    return (1, *(2**level for level in range(first, depth + 1)))


PYRAMID = EncoderKind(
    name="pyramid",
    min_depth=1,
    factory=lambda depth, in_channels, stride: TinyPyramid(
        _powers(depth), in_channels=in_channels, output_stride=stride
    ),
)
"""The input, then every level: 1, 2, 4, 8, ... Sizes round up."""

PATCHES = EncoderKind(
    name="patches",
    min_depth=2,
    factory=lambda depth, in_channels, stride: TinyPyramid(
        _powers(depth, first=2), in_channels=in_channels, output_stride=stride, patches=True
    ),
)
"""As ConvNeXt and Swin: no level of half the resolution (1, 4, 8, ...), and sizes round down."""

FULL_RESOLUTION = EncoderKind(
    name="full_resolution",
    min_depth=1,
    factory=lambda depth, in_channels, stride: TinyPyramid(
        _powers(depth), in_channels=in_channels, output_stride=stride, full_resolution=True
    ),
)
"""As VGG: the first level is a stage of the encoder, at the resolution of the input."""

TOKENS = EncoderKind(
    name="tokens",
    min_depth=1,
    factory=lambda depth, in_channels, stride: TinyTransformer(depth, in_channels=in_channels),  # noqa: ARG005
    tokens=True,
)
"""As a plain ViT: features of one resolution, and prefix tokens."""

PYRAMIDS = (PYRAMID, PATCHES, FULL_RESOLUTION)
