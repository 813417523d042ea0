"""Tiny encoders of every kind that architectures meet, and their specs. They satisfy the protocol and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.errors import OptionError
from smp_core.plugin import EncoderSpec


def width(reduction: int) -> int:
    """All different, so that channels of one level cannot pass for those of another."""
    return 4 + 4 * reduction.bit_length()


class FakePyramid(nn.Module):
    """One convolution and a ReLU a level; built dilated, the levels repeat the output stride.

    Args:
        reductions: of all levels.
        full_resolution: whether the level of reduction 1 is a stage of the encoder and not the input.
        in_channels, depth, output_stride: what every encoder's target is given.
    """

    def __init__(
        self,
        reductions: Sequence[int],
        *,
        full_resolution: bool = False,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
    ) -> None:
        super().__init__()
        kept = [reduction for reduction in reductions if reduction <= 2**depth]
        self.in_channels = in_channels
        self.full_resolution = full_resolution
        self.reductions: tuple[int, ...] = tuple(min(reduction, output_stride) for reduction in kept)
        self.stages = nn.ModuleList()
        channels, reached = in_channels, 1
        out_channels = []
        for reduction, built in zip(kept, self.reductions, strict=True):
            if reduction == 1 and not full_resolution:
                self.stages.append(nn.Identity())
            else:
                rate = reduction // built
                convolution = nn.Conv2d(channels, width(reduction), 3, built // reached, rate, rate, bias=False)
                self.stages.append(nn.Sequential(convolution, nn.ReLU()))
                channels, reached = width(reduction), built
            out_channels.append(channels)
        self.out_channels: tuple[int, ...] = tuple(out_channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class FakeTransformer(nn.Module):
    """A plain transformer of six blocks, without position embedding, so that it takes every number of patches.

    Args:
        patch: height and width of a patch.
        num_prefix_tokens: tokens before those of the patches.
        in_channels, depth, output_stride: what every encoder's target is given.
        output_indices: the blocks whose outputs are the features; by default the last ones.
    """

    tokens = True

    def __init__(
        self,
        patch: int = 16,
        num_prefix_tokens: int = 1,
        *,
        in_channels: int = 3,
        depth: int = 4,
        output_stride: int = 32,  # every target is given one
        output_indices: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        indices = range(NUM_BLOCKS - depth, NUM_BLOCKS) if output_indices is None else output_indices
        for index in indices:
            if not -NUM_BLOCKS <= index < NUM_BLOCKS:
                raise OptionError(f"output index {index}: there are {NUM_BLOCKS} blocks")
        self.indices: list[int] = [index % NUM_BLOCKS for index in indices]
        self.in_channels = in_channels
        self.num_prefix_tokens = num_prefix_tokens
        self.out_channels: tuple[int, ...] = (TOKEN_CHANNELS,) * len(self.indices)
        self.reductions: tuple[int, ...] = (patch,) * len(self.indices)
        self.embedding = nn.Conv2d(in_channels, TOKEN_CHANNELS, patch, patch)
        self.prefix = nn.Parameter(0.02 * torch.ones(1, num_prefix_tokens, TOKEN_CHANNELS))
        self.blocks = nn.ModuleList(FakeBlock() for _ in range(max(self.indices) + 1))

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        x = self.embedding(x)
        height, width = x.shape[2], x.shape[3]
        x = torch.cat([self.prefix.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
        states: list[Tensor] = []
        for block in self.blocks:
            x = block(x)
            states.append(x)
        features: list[Tensor] = []
        prefix_tokens: list[Tensor] = []
        for index in self.indices:
            state = states[index]
            patches = state[:, self.num_prefix_tokens :].transpose(1, 2)
            features.append(patches.unflatten(2, [height, width]))
            prefix_tokens.append(state[:, : self.num_prefix_tokens])
        return features, prefix_tokens


NUM_BLOCKS = 6
TOKEN_CHANNELS = 24


class FakeBlock(nn.Module):
    """Attention of two heads and a linear layer, each with a norm before and a shortcut around: (N, L, C), same out."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(TOKEN_CHANNELS)
        self.query_key_value = nn.Linear(TOKEN_CHANNELS, 3 * TOKEN_CHANNELS)
        self.norm2 = nn.LayerNorm(TOKEN_CHANNELS)
        self.linear = nn.Linear(TOKEN_CHANNELS, TOKEN_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.query_key_value(self.norm1(x)).unflatten(2, [3, 2, -1]).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(heads[0], heads[1], heads[2])
        x = x + attended.transpose(1, 2).flatten(2)
        out: Tensor = x + functional.gelu(self.linear(self.norm2(x)))
        return out


def pyramid(name: str, reductions: Sequence[int], *, full_resolution: bool = False, **fields: Any) -> EncoderSpec:
    """The spec of a `FakePyramid`."""
    channels = FakePyramid(reductions, full_resolution=full_resolution, depth=9).out_channels
    return EncoderSpec(
        name=name,
        target="fake_encoders:FakePyramid",
        options={"reductions": tuple(reductions), "full_resolution": full_resolution},
        out_channels=channels,
        reductions=tuple(reductions),
        max_depth=max(reductions).bit_length() - 1,
        **fields,
    )


def transformer(name: str, **options: Any) -> EncoderSpec:
    """The spec of a `FakeTransformer`."""
    return EncoderSpec(
        name=name,
        target="fake_encoders:FakeTransformer",
        options=options,
        out_channels=(TOKEN_CHANNELS,) * NUM_BLOCKS,
        reductions=(options.get("patch", 16),) * NUM_BLOCKS,
        tokens=True,
        max_depth=NUM_BLOCKS,
    )


SPECS = (
    pyramid("fake-dilatable", (1, 2, 4, 8, 16, 32), dilation=(8, 16)),
    pyramid("fake-rigid", (1, 2, 4, 8, 16, 32)),
    pyramid("fake-half-dilatable", (1, 2, 4, 8, 16, 32), dilation=(16,)),
    pyramid("fake-full-resolution", (1, 2, 4, 8, 16, 32), full_resolution=True),
    pyramid("fake-no-half", (1, 4, 8, 16, 32), min_depth=2),
    pyramid("fake-no-half-dilatable", (1, 4, 8, 16, 32), min_depth=2, dilation=(8, 16)),
    pyramid("fake-fixed-depth", (1, 2, 4, 8, 16, 32), min_depth=5),
    pyramid("fake-shallow", (1, 2, 4)),
    pyramid("fake-medium", (1, 2, 4, 8)),
    transformer("fake-tokens"),
    transformer("fake-tokens-14", patch=14),
    transformer("fake-tokens-no-prefix", num_prefix_tokens=0),
    transformer("fake-tokens-registers", num_prefix_tokens=5),
)
