"""A small encoder and a small architecture, so that the core's tests need no plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.layers import ConvNormAct
from smp_core.model import SegmentationModel
from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec

WIDTHS = (4, 8, 12, 16)


class ToyEncoder(EncoderBase):
    """The input and four stages: reductions 1, 2, 4, 8, 16. A classifier in a state dict is ignored."""

    first_convolution = "stage1.0"

    def __init__(
        self,
        *,
        in_channels: int = 3,
        depth: int = 4,
        output_stride: int = 32,
        dropout: float = 0.0,
        bias: bool = False,
    ) -> None:
        if not isinstance(bias, bool):
            raise OptionError(f"encoder_options: bias must be True or False, got {bias!r}")
        super().__init__(
            out_channels=(in_channels, *WIDTHS),
            reductions=(1, 2, 4, 8, 16),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            ignored_keys=("classifier.", *(f"stage{number}." for number in range(depth + 1, 5))),
        )
        channels = (in_channels, *WIDTHS)
        for number in range(1, depth + 1):
            conv = nn.Conv2d(channels[number - 1], channels[number], 3, stride=2, padding=1, bias=bias)
            stage = nn.Sequential(conv, nn.BatchNorm2d(channels[number]), nn.ReLU(), nn.Dropout(dropout))
            self.dilate(stage, reduction=2**number)
            self.add_module(f"stage{number}", stage)

    def stage_modules(self) -> list[list[str]]:
        return [[f"stage{number}"] for number in range(1, self.depth + 1)]

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x]
        for number in range(1, self.depth + 1):
            features.append(self.get_submodule(f"stage{number}")(features[-1]))
        return features


class Listing(ToyEncoder):
    """A `ToyEncoder` that keeps two further options as they come."""

    def __init__(self, *, places: Any = (), width: int = 1, **given: Any) -> None:
        super().__init__(**given)
        self.places, self.width = places, width


class ToyDecoder(nn.Module):
    """A convolution of the deepest feature, brought to the size of the first by repetition."""

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], width: int, norm: Any) -> None:
        super().__init__()
        self.conv = ConvNormAct(channels[-1], width, kernel_size=1, norm=norm)
        self.out_channels = width
        self.reduction = reductions[0]

    def forward(self, features: list[Tensor]) -> Tensor:
        return functional.interpolate(self.conv(features[-1]), size=features[0].shape[2:])


class ToyModel(SegmentationModel):
    """The architecture "toy"."""

    def __init__(
        self,
        encoder: nn.Module,
        *,
        width: int = 8,
        decoder_use_norm: Any = "batchnorm",
        size_multiple: int = 1,
        classes: int = 1,
        activation: Any = None,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        decoder = ToyDecoder(encoder.out_channels, encoder.reductions, width, decoder_use_norm)
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(width, classes, activation=activation, upsampling=encoder.reductions[0]),
            build_classification_head(encoder.out_channels[-1], aux_params),
            size_multiple=size_multiple,
        )


class Sink(ToyModel):
    """Takes anything."""

    def __init__(self, encoder: nn.Module, **kwargs: Any) -> None:
        super().__init__(encoder, **kwargs)


def no_model(encoder: nn.Module, *, classes: int, activation: Any, aux_params: Any) -> nn.Module:
    """Builds something, but no model."""
    return nn.Conv2d(3, classes, 1)


def swap_stages(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """A foreign spelling of the toy encoder's keys, translated."""
    return {key.replace("block", "stage"): value for key, value in state_dict.items()}


class Bare(nn.Module):
    """A module that satisfies the protocol, and nothing more."""

    def __init__(self, out_channels: Any = (3, 6), reductions: Any = (1, 4)) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.reductions = reductions
        self.conv = nn.Conv2d(3, 6, 4, stride=4, padding=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x, self.conv(x)]


def encoder_spec(**fields: Any) -> EncoderSpec:
    """The spec of `ToyEncoder`, unless ``fields`` say otherwise."""
    values: dict[str, Any] = {
        "name": "toy_encoder",
        "target": "toy_models:ToyEncoder",
        "out_channels": (3, *WIDTHS),
        "reductions": (1, 2, 4, 8, 16),
        "dilation": (8,),
        "max_depth": 4,
        **fields,
    }
    return EncoderSpec(**values)


def architecture_spec(**fields: Any) -> ArchitectureSpec:
    """The spec of `ToyModel`, unless ``fields`` say otherwise."""
    values: dict[str, Any] = {
        "name": "toy",
        "class_name": "Toy",
        "target": "toy_models:ToyModel",
        "min_depth": 1,
        "default_depth": 3,
        **fields,
    }
    return ArchitectureSpec(**values)


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Give every parameter and statistic a value that no initialisation gives, so that a lost one shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)


class ToyNeck(nn.Module):
    """Makes a pyramid of the last feature that it is given, whatever that is: a convolution a level, then a resize."""

    def __init__(
        self,
        *,
        out_channels: Sequence[int],
        reductions: Sequence[int],
        tokens: bool,
        output_stride: int | None = None,
        width: int = 6,
        levels: Sequence[int] = (4, 8, 16),
    ) -> None:
        super().__init__()
        levels = [level for level in levels if level <= (output_stride or level)]
        self.takes_tokens = tokens
        self.out_channels = tuple(width + number for number in range(len(levels)))
        self.reductions = tuple(levels)
        self.source, self.levels = reductions[-1], list(levels)
        self.lateral = nn.ModuleList(nn.Conv2d(out_channels[-1], width, 1) for width in self.out_channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        levels: list[Tensor] = []
        for number, layer in enumerate(self.lateral):
            x, level = layer(features[-1]), self.levels[number]
            height = (x.shape[2] * self.source + level - 1) // level
            width = (x.shape[3] * self.source + level - 1) // level
            levels.append(functional.interpolate(x, size=[height, width]))
        return levels


def neck_spec(**fields: Any) -> NeckSpec:
    """The spec of `ToyNeck`, unless ``fields`` say otherwise."""
    values: dict[str, Any] = {
        "name": "toy_neck",
        "target": "toy_models:ToyNeck",
        "reductions": (4, 8, 16),
        "pyramid": True,
        **fields,
    }
    return NeckSpec(**values)


def assert_same(loaded: nn.Module, model: nn.Module) -> None:
    """The same parameters and buffers, in the same order."""
    expected = model.state_dict()
    assert list(loaded.state_dict()) == list(expected)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())
