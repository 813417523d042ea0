import contextlib
import os
import socket
import warnings

import torch
from torch import nn
from torch.nn import functional

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_testing.encoders import TinyTransformer

CHANNELS = (8, 12, 16, 20, 24)


class Right(EncoderBase):
    first_convolution = "stages.0.0"

    def __init__(self, *, in_channels=3, depth=5, output_stride=32, ignored=True, num_stages=None):
        super().__init__(
            out_channels=(in_channels, *CHANNELS),
            reductions=(1, 2, 4, 8, 16, 32),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            ignored_keys=[f"stages.{index}." for index in range(depth, 5)] if ignored else (),
        )
        widths = (in_channels, *CHANNELS)
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(widths[index], widths[index + 1], 3, stride=2, padding=1),
                nn.BatchNorm2d(widths[index + 1]),
                nn.ReLU(),
            )
            for index in range(num_stages or depth)
        )
        for index, stage in enumerate(self.stages):
            self.dilate(stage, 2 ** (index + 1))

    def stage_modules(self):
        return [[f"stages.{index}"] for index in range(len(self.stages))]

    def forward(self, x):
        return self.walk(x, 1.0)

    def walk(self, x: torch.Tensor, factor: float):
        """The features, of which the first that is made is multiplied by a factor."""
        features = [x]
        for index, stage in enumerate(self.stages):
            x = stage(x)
            features.append(x * factor if index == 0 and factor != 1.0 else x)
        return features


class Tokens(TinyTransformer):
    """A transformer of 4 blocks that gives the features that it is asked for."""

    def __init__(self, *, in_channels=3, depth=4, output_stride=32, output_indices=None):
        super().__init__(4, in_channels=in_channels)
        chosen = range(4 - depth, 4) if output_indices is None else self.checked(output_indices)
        self.chosen = [index % 4 for index in chosen]
        self.out_channels, self.reductions = self.out_channels[:depth], self.reductions[:depth]
        del self.blocks[max(self.chosen) + 1 :]

    def checked(self, indices):
        if any(not -4 <= index < 4 for index in indices) or len({index % 4 for index in indices}) < len(indices):
            raise OptionError(f"expected different indices of 4 blocks, got {indices}")
        return indices

    def forward(self, x):
        features, prefix_tokens = super().forward(x)
        return [features[index] for index in self.chosen], [prefix_tokens[index] for index in self.chosen]

    def stage_modules(self):
        return [["embedding", "class_token"], *([f"blocks.{index}"] for index in range(len(self.blocks)))]


def convert(state_dict):
    """Published weights as those of the encoder."""
    return {key.removeprefix("backbone."): value for key, value in state_dict.items()}


class Fetches(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        with contextlib.suppress(OSError):  # as a careful plugin would, with random weights in their place
            socket.create_connection(("weights.example", 443), timeout=1)


class SetsDefaultDtype(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        torch.set_default_dtype(torch.float64)


class SetsEnvironment(Right):
    def forward(self, x):
        os.environ["ACME_RAN"] = "1"
        warnings.simplefilter("ignore")
        torch.set_grad_enabled(False)
        return super().forward(x)


class HoldsRealTensors(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.register_buffer("mean", torch.zeros(1, device="cpu"))


class ReadsValues(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.rates = [rate.item() for rate in torch.linspace(0, 1, 3)]


class ReturnsTuple(Right):
    def forward(self, x):
        return tuple(super().forward(x))


class LiesAboutChannels(Right):
    def forward(self, x):
        features = super().forward(x)
        return [*features[:-1], torch.cat([features[-1], features[-1]], dim=1)]


class ChangesInputFeature(Right):
    def forward(self, x):
        return [x / 255, *super().forward(x)[1:]]


class YieldsNan(Right):
    def forward(self, x):
        features = super().forward(x)
        return [*features[:-1], features[-1] / 0 - features[-1] / 0]


class KeepsEveryStage(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments, num_stages=5)

    def forward(self, x):
        features = [x]
        for index, stage in enumerate(self.stages):
            if index < self.depth:
                x = stage(x)
                features.append(x)
        return features


class CannotDilate(Right):
    def dilate(self, stage, reduction):
        pass


class TakesThreeChannels(Right):
    def __init__(self, *, in_channels=3, **arguments):
        super().__init__(in_channels=3, **arguments)
        self.in_channels = in_channels
        self.out_channels = (in_channels, *self.out_channels[1:])


class PadsTo64(Right):
    def forward(self, x):
        padded = functional.pad(x, (0, -x.shape[3] % 64, 0, -x.shape[2] % 64))
        return [x, *super().forward(padded)[1:]]


class ViewsInput(Right):
    def forward(self, x):
        return super().forward(x - x.view(x.shape[0], -1).mean() * 0)


class RefusesFullStateDict(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments, ignored=False)


class ScalesByDepth(Right):
    def forward(self, x):
        return self.walk(x, 1.0 + self.depth)


class HidesFirstConvolution(Right):
    first_convolution = ""


class WritesIntoInput(Right):
    def forward(self, x):
        return super().forward(x.mul_(2))


class MixesBatch(Right):
    def forward(self, x):
        x0, x1, *features = self.walk(x, 1.0)
        return [x0, x1 + 0.5 * x1.mean(dim=0, keepdim=True), *features]


class CountsBatch(Right):
    def forward(self, x):
        return self.walk(x, 1.0 / x.shape[0])


class HasUnusedParameter(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.spare = nn.Parameter(torch.zeros(3))

    def stage_modules(self):
        (*others, last) = super().stage_modules()
        return [*others, [*last, "spare"]]


class HasNanGradient(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        x0, x1, *features = super().forward(x)
        return [x0, x1 + torch.sqrt(self.scale * 0), *features]

    def stage_modules(self):
        (first, *others) = super().stage_modules()
        return [[*first, "scale"], *others]


class ForgetsTensor(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.scale = 1 + torch.rand(1)

    def forward(self, x):
        x0, x1, *features = super().forward(x)
        return [x0, x1 * self.scale, *features]


class RenamesKeys(Right):
    def state_dict(self, *arguments, **keywords):
        return {f"model.{key}": value for key, value in super().state_dict(*arguments, **keywords).items()}


class EditsStateDict(Right):
    def load_state_dict(self, state_dict, strict=True, assign=False):
        state_dict["extra"] = torch.zeros(1)
        return super().load_state_dict({key: state_dict[key] for key in list(state_dict) if key != "extra"}, strict)


class BranchesOnValues(Right):
    def forward(self, x):
        return super().forward(-x if x.mean() > 0 else x)


class BranchesOnSizes(Right):
    def forward(self, x):
        return self.walk(x, 2.0 if x.shape[3] % 32 == 0 else 1.0)


class CannotBeScripted(Right):
    def forward(self, x, *more):
        return super().forward(x)


class NamesNoStages(Right):
    stage_modules = EncoderBase.stage_modules


class LeavesOutParameter(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        x0, x1, *features = super().forward(x)
        return [x0, x1 * self.scale, *features]


class JoinsStages(Right):
    def stage_modules(self):
        return [["stages"]]


class SwapsStages(Right):
    def stage_modules(self):
        stages = super().stage_modules()
        return [*stages[:3], *reversed(stages[3:])]


class NamesTooEarly(Right):
    def stage_modules(self):
        stages = super().stage_modules()
        return [*stages[:3], ["stages.3", "stages.4.0"], ["stages.4.1"]] if len(stages) == 5 else stages


class SwapsBlocks(Tokens):
    def stage_modules(self):
        stem, first, *others = super().stage_modules()
        return [stem, *others, first]


class JoinsBlocks(Tokens):
    def stage_modules(self):
        return [["embedding", "class_token"], ["blocks"]]


class HasNoBlocks(Right):
    def stage_modules(self):
        return [[f"{name}.0", f"{name}.1"] for (name,) in super().stage_modules()]


class CallsLayers(Right):
    def forward(self, x):
        features = [x]
        for stage in self.stages:
            for layer in stage:
                x = layer(x)
            features.append(x)
        return features


class RecomputesOtherwise(Right):
    factor = 1.0

    def set_gradient_checkpointing(self, enabled):
        self.factor = 2.0 if enabled else 1.0

    def forward(self, x):
        features = super().forward(x)
        return [*features[:-1], features[-1] * self.factor]


class CountsRuns(Right):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.register_buffer("runs", torch.zeros(1))
        self.runs_again = False

    def set_gradient_checkpointing(self, enabled):
        self.runs_again = enabled

    def forward(self, x):
        if self.training:
            self.runs += 1 + int(self.runs_again)
        return super().forward(x)
