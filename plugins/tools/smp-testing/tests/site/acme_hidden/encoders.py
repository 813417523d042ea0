"""Each is right but for one thing."""

import torch
from acme_wrong.encoders import Right, Tokens


class CountsImages(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += x.shape[0]
        return super().forward(x)


class CountsInSecret(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, x):
        self.seen = self.seen + x.shape[0]
        return super().forward(x)


class KeepsInput(Right):
    def forward(self, x):
        self.last = x
        return super().forward(x)


class KeepsFeatures(Right):
    def forward(self, x):
        self.features = super().forward(x)
        return [*self.features]


class Standardises(Right):
    def forward(self, x):
        whole = (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)
        return [x, *super().forward(whole)[1:]]


class TakesRoots(Right):
    def forward(self, x):
        return [x, *super().forward(x + 0 * x.abs().sqrt().mean())[1:]] if not self.training else self.trained(x)

    def trained(self, x):
        features = super().forward(x)
        weight = self.stages[0][0].weight
        return [x, *(item + (0 * x).abs().mean() * (weight * x.mean()).abs().sqrt().sum() for item in features[1:])]


class RoundsToFloat32(Right):
    def forward(self, x):
        return [x, *super().forward(x.float().to(x.dtype))[1:]]


class RoundsDeepFeature(Right):
    def forward(self, x):
        *features, deepest = super().forward(x)
        return [*features, deepest.float().to(x.dtype)]


class MakesTensorsOnTheCpu(Right):
    def forward(self, x):
        return [x, *super().forward(x + torch.zeros(x.shape[2:]))[1:]]


class ReturnsTensorsOfTheCpu(Right):
    def forward(self, x):
        *features, deepest = super().forward(x)
        return [*features, deepest if deepest.device.type == "cpu" else torch.zeros(deepest.shape)]


class SetsSeed(Right):
    def __init__(self, **arguments):
        torch.manual_seed(42)
        super().__init__(**arguments)


class DropsFurtherChannels(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.of_input = self.in_channels

    def forward(self, x):
        first = self.stages[0]
        if x.shape[1] <= 3:
            return super().forward(x)
        features = [x]
        for index, stage in enumerate(self.stages):
            x = torch.cat([x[:, :3], torch.zeros_like(x[:, 3:])], 1) if index == 0 else x
            x = first(x) if index == 0 else stage(x)
            features.append(x)
        return features


class MiscountsPrefixTokens(Tokens):
    num_prefix_tokens = 2


class IgnoresIndices(Tokens):
    def __init__(self, *, in_channels=3, depth=4, output_stride=32, output_indices=None):
        super().__init__(in_channels=in_channels, depth=depth)
        if output_indices is not None:
            self.checked(output_indices)


class ReversesFeatures(Tokens):
    def forward(self, x):
        features, prefix_tokens = super().forward(x)
        return features[::-1], prefix_tokens[::-1]


class CountsFromOne(Tokens):
    def checked(self, indices):
        return [index - 1 if index > 0 else index for index in super().checked(indices)]


class IgnoresTheSign(Tokens):
    def checked(self, indices):
        return [abs(index) for index in super().checked(indices)]


class TakesAnyIndex(Tokens):
    def checked(self, indices):
        return super().checked([*dict.fromkeys(index % 4 for index in indices)]) and [index % 4 for index in indices]


class RaisesIndexError(Tokens):
    def checked(self, indices):
        return [range(4)[index] for index in indices]
