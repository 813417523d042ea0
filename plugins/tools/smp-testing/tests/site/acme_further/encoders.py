"""Each is right but for one thing: what it gives, where it looks, what it holds, how it learns."""

import functools

import torch
from acme_wrong.encoders import Right, Tokens
from torch import nn
from torch.nn import functional

MODELS = [0]
LAYER = nn.Conv2d(8, 8, 1)


class DropsInEvaluation(Right):
    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, functional.dropout(x1, 0.3, training=True), *features]


class AddsNoise(Right):
    def forward(self, x):
        *features, x5 = self.walk(x, 1.0)
        return [*features, x5 + 0.01 * torch.randn_like(x5)]


class ForgetsFirstCall(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.is_used = False

    def forward(self, x):
        *features, x5 = self.walk(x, 1.0)
        if not self.is_used:
            self.is_used = True
            x5 = 1.001 * x5
        return [*features, x5]


class CountsModels(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        MODELS[0] += 1
        self.factor = float(MODELS[0])

    def forward(self, x):
        *features, x5 = self.walk(x, 1.0)
        return [*features, self.factor * x5]


@functools.lru_cache
def scale(device, dtype):
    return nn.Parameter(torch.ones(1, device=device, dtype=dtype))


class SharesScale(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.scale = scale(torch.empty(0).device, torch.get_default_dtype())

    def forward(self, x):
        return [x, *(self.scale * item for item in self.walk(x, 1.0)[1:])]


class SharesLayer(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.stages[0].append(LAYER)


class FlipsFeature(Right):
    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, x1.flip(3), *features]


class FlipsDeepest(Right):
    def forward(self, x):
        *features, x5 = self.walk(x, 1.0)
        return [*features, x5.flip(2)]


class TransposesSquares(Right):
    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, x1.transpose(2, 3).reshape(x1.shape), *features]


class RollsFeature(Right):
    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, x1.roll(x1.shape[3] // 3, 3), *features]


class ScramblesTokens(Tokens):
    """Without the transposition between tokens and a map."""

    def forward(self, x):
        features, tokens = super().forward(x)
        return [item.flatten(2).transpose(1, 2).reshape(item.shape) for item in features], tokens


class TurnsTokens(Tokens):
    """Rows for columns."""

    def forward(self, x):
        features, tokens = super().forward(x)
        return [item.transpose(2, 3).reshape(item.shape) for item in features], tokens


class HoldsLayersInList(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.extra = [nn.Conv2d(8, 8, 1)]

    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, x1 + self.extra[0](x1), *features]


class HoldsLayersInDict(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.extra = {"first": (nn.Conv2d(8, 8, 1),)}

    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, x1 + self.extra["first"][0](x1), *features]


class DrawsBuffer(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.register_buffer("table", torch.rand(1, 8, 1, 1), persistent=False)

    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, x1 * self.table, *features]


class IgnoresDepth(Right):
    def __init__(self, *, in_channels=3, depth=5, output_stride=32):
        super().__init__(in_channels=in_channels, depth=5, output_stride=output_stride)


class FailsAtLowerDepth(Right):
    def forward(self, x):
        features = self.walk(x, 1.0)
        features[5]  # an IndexError where there are fewer
        return features


class FailsAtFirstDepth(Right):
    def forward(self, x):
        if len(self.stages) < 3:
            raise RuntimeError("sizes do not fit")
        return self.walk(x, 1.0)


class IsBuiltInEvaluation(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.eval()


class FreezesStem(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.stages[0].requires_grad_(False)


class LearnsNothing(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.stages[0][0].weight.register_hook(lambda gradient: 0 * gradient)


class HasNoGradient(Right):
    @torch.no_grad()
    def forward(self, x):
        return self.walk(x, 1.0)


class TakesOption(Right):
    def __init__(self, *, in_channels=3, depth=5, output_stride=32, slope=0.1):
        super().__init__(in_channels=in_channels, depth=depth, output_stride=output_stride)
        for stage in self.stages:
            stage[2] = nn.LeakyReLU(slope)


class IgnoresOption(Right):
    def __init__(self, *, in_channels=3, depth=5, output_stride=32, slope=0.1):
        super().__init__(in_channels=in_channels, depth=depth, output_stride=output_stride)
