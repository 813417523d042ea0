"""Each is right but for one thing."""

import torch
from acme_wrong.encoders import Right, Tokens
from torch import nn
from torch.nn import functional

from smp_core.encoder import EncoderBase


class TakesStridesAway(Right):
    """Dilation that is declared, and done by halves: strides go, and nothing is dilated in their place."""

    def dilate(self, stage, reduction):
        if reduction > self.output_stride:
            stage[0].stride = (1, 1)


class KeepsLooseTensor(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.mean = torch.tensor([0.4, 0.5, 0.6])[:, None, None]

    def forward(self, x):
        return [x, *self.walk(x - self.mean[:1], 1.0)[1:]]


class CutsTheImageOff(Right):
    def forward(self, x):
        return [x, *self.walk(x.detach(), 1.0)[1:]]


class AddsOneDtypeToAnother(Right):
    """What it adds into has the dtype of the image, and under autocast the features have another."""

    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        order = torch.arange(x1.shape[1], device=x.device)[None, :, None, None].expand_as(x1)
        return [x0, x.new_zeros(x1.shape).scatter(1, order, x1), *features]


class YieldsTooMany(Right):
    def forward(self, x):
        features = self.walk(x, 1.0)
        return [*features, features[-1]]


class ReversesPyramid(Right):
    def forward(self, x):
        return self.walk(x, 1.0)[::-1]


class YieldsDict(Right):
    def forward(self, x):
        return dict(enumerate(self.walk(x, 1.0)))


class YieldsHalf(Right):
    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, x1.half(), *features]


class CannotRun(Right):
    def forward(self, x):
        raise NotImplementedError("to be written")


class CannotBeBuilt(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        raise KeyError("stem")


class AddsFirstImage(Right):
    """What it gives for an image depends on the first image of the batch."""

    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, x1 + 0.1 * x1[:1], *features]


class DropsSecondChannel(Right):
    def forward(self, x):
        if x.shape[1] < 3:
            return self.walk(x, 1.0)
        seen = torch.cat([x[:, :1], torch.zeros_like(x[:, 1:2]), x[:, 2:]], dim=1)
        return [x, *self.walk(seen, 1.0)[1:]]


class NeedsWholePatches(Right):
    """Images whose sizes 32 does not divide are cut."""

    def forward(self, x):
        cut = x[:, :, : x.shape[2] // 32 * 32, : x.shape[3] // 32 * 32]
        return [x, *self.walk(cut if cut.numel() else x, 1.0)[1:]]


class HoldsWeightTwice(Right):
    """A copy of a weight, taken once."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.register_buffer("kept", self.stages[0][0].weight.detach().clone(), persistent=False)

    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, x1 + self.kept.mean(), *features]


class CallsFunctions(Right):
    """Weights of a layer that is never called, so that no hook is, and no adapter."""

    def forward(self, x):
        features = [x]
        for stage in self.stages:
            conv = stage[0]
            x = functional.conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation)
            x = stage[2](stage[1](x))
            features.append(x)
        return features


class PicklesNot(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.act = lambda x: x

    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, self.act(x1), *features]


class AddsFloat32(Right):
    """A constant of float32 that promotes what it is added to."""

    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, x1 + torch.full((1,), 0.1, dtype=torch.float32, device=x.device), *features]


class TakesNoIndices(Tokens):
    def __init__(self, *, in_channels=3, depth=4, output_stride=32):
        super().__init__(in_channels=in_channels, depth=depth, output_stride=output_stride)


class YieldsTokensAlone(Tokens):
    def forward(self, x):
        return super().forward(x)[0]


class ForgetsTokensOfSome(Tokens):
    def forward(self, x):
        features, tokens = super().forward(x)
        return features, tokens[:1]


class NamesWrongConvolution(Right):
    first_convolution = "stages.0.1"


class NormalisesByBatch(Right):
    """Statistics of the batch in evaluation, too."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.track_running_stats = False
                part.running_mean = part.running_var = part.num_batches_tracked = None


class SaysNothingOfStages(EncoderBase):
    """Written as the guide says, without stages, and nothing declares that."""

    first_convolution = "stem"

    def __init__(self, *, in_channels=3, depth=1, output_stride=32):
        super().__init__(
            out_channels=(in_channels, 8),
            reductions=(1, 2),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
        )
        self.stem = nn.Conv2d(in_channels, 8, 3, 2, 1)

    def forward(self, x):
        return [x, self.stem(x)]
