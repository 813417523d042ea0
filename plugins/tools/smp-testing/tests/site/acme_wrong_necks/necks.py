"""Necks each of which breaks one rule, and one that breaks none."""

import torch
from torch import nn
from torch.nn import functional


class Right(nn.Module):
    def __init__(self, *, out_channels, reductions, tokens, output_stride=32):
        super().__init__()
        self.reductions = tuple(item for item in (4, 8, 16, 32) if item <= output_stride)
        self.out_channels = tuple(8 + index for index, _ in enumerate(self.reductions))
        self.targets = list(self.reductions)
        self.source = reductions[-1]
        self.levels = nn.ModuleList(nn.Conv2d(out_channels[-1], item, 1) for item in self.out_channels)

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        levels: list[torch.Tensor] = []
        for index, level in enumerate(self.levels):
            size = [self.size(item, self.targets[index]) for item in features[-1].shape[2:]]
            levels.append(functional.interpolate(level(features[-1]), size=size, mode="bilinear"))
        return levels

    def size(self, size: int, target: int) -> int:
        return (size * self.source + target - 1) // target


class TakesNoOutputStride(Right):
    def __init__(self, *, out_channels, reductions, tokens):
        super().__init__(out_channels=out_channels, reductions=reductions, tokens=tokens)


class SaysNoChannels(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.out_channels = None


class ReturnsTuple(Right):
    def forward(self, features):
        return tuple(super().forward(features))


class LiesAboutChannels(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.out_channels = tuple(2 * item for item in self.out_channels)


class YieldsNan(Right):
    def forward(self, features):
        return [level / 0 - level / 0 for level in super().forward(features)]


class YieldsHalf(Right):
    def forward(self, features):
        return [level.half() for level in super().forward(features)]


class RoundsDown(Right):
    def size(self, size, target):
        return max(size * self.source // target, 1)


class KeepsPadding(Right):
    def forward(self, features):
        return [functional.pad(level, (0, 64, 0, 64)) for level in super().forward(features)]


class IgnoresOutputStride(Right):
    def __init__(self, *, output_stride=32, **arguments):
        super().__init__(**arguments)


class KeepsEveryLevel(Right):
    def __init__(self, *, output_stride=32, **arguments):
        super().__init__(**arguments)
        kept = sum(item <= output_stride for item in self.reductions)
        self.reductions, self.out_channels = self.reductions[:kept], self.out_channels[:kept]

    def forward(self, features):
        return super().forward(features)[: len(self.reductions)]


class NamesLevelsByTheirNumber(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.named = nn.ModuleDict({f"{len(self.levels)}_{index}": level for index, level in enumerate(self.levels)})
