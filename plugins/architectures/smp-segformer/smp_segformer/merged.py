"""The inference form of Segformer's decoder: of each level one matrix, made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


def size_of_result(features: list[Tensor], target: int, input_reduction: int, reduction: int) -> tuple[int, int]:
    """Height and width of what Segformer's decoder gives.

    Args:
        features: of the encoder, (N, C_i, H_i, W_i).
        target: which of them has the reduction of the result; -1 for none.
        input_reduction: of the first.
        reduction: of the result.
    """
    if target >= 0:
        return features[target].shape[2], features[target].shape[3]
    first = features[0]
    return first.shape[2] * input_reduction // reduction, first.shape[3] * input_reduction // reduction


class MergedDecoder(nn.Module):
    """As the `smp_segformer.decoder.SegformerDecoder` that it is made of, whose two matrices a level are one here.

    Args:
        decoder: in evaluation mode, its norm folded or not; taken apart.
        weights: of each level, deepest first, (width, C_i, 1, 1).
        bias: (width,).
    """

    def __init__(self, decoder: Any, weights: Sequence[Tensor], bias: Tensor) -> None:
        super().__init__()
        self.out_channels: int = decoder.out_channels
        self.reduction: int = decoder.reduction
        self.levels: list[int] = decoder.levels
        self.target: int = decoder.target
        self.input_reduction: int = decoder.input_reduction
        self.resize = decoder.resize
        self.weights = nn.ParameterList(nn.Parameter(weight, requires_grad=False) for weight in weights)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.rest = nn.Sequential(*list(decoder.fuse_stage)[1:])

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, width, H / 4, W / 4)."""
        height, width = size_of_result(features, self.target, self.input_reduction, self.reduction)
        maps = [features[index] for index in self.levels]
        weights = [weight for weight in self.weights]  # noqa: C416  # TorchScript makes a list of it in no other way
        out: Tensor = self.rest(self.resize.project_each(maps, weights, self.bias, height, width))
        return out
