"""Necks under test, each over features such as encoders yield, made of the image without any encoder."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.plugin import NeckSpec
from smp_core.registry import Registered
from smp_testing.cases import RegisteredCase
from smp_testing.expectations import ConformanceError, expect


@dataclass(frozen=True, kw_only=True)
class FeatureKind:
    """The features of a kind of encoder.

    Attributes:
        name: how ids call it.
        out_channels, reductions: of the features, highest resolution first.
        tokens: whether they are a plain transformer's.
        is_traced: whether necks over them are compiled, exported and scripted; some of each kind are enough.
    """

    name: str
    out_channels: tuple[int, ...]
    reductions: tuple[int, ...]
    tokens: bool = False
    is_traced: bool = False


def _transformer(patch: int, num_features: int = 4, *, is_traced: bool = False) -> FeatureKind:
    return FeatureKind(
        name=f"patches_of_{patch}",
        out_channels=(24,) * num_features,
        reductions=(patch,) * num_features,
        tokens=True,
        is_traced=is_traced,
    )


TRANSFORMERS = (
    _transformer(16, is_traced=True),
    _transformer(14, is_traced=True),
    _transformer(8, 3),
    _transformer(32, 1),
)
"""As plain ViTs: several features or one, patches that are a power of two or not, small and large."""

PYRAMIDS = (
    FeatureKind(name="pyramid", out_channels=(3, 8, 12, 16, 20, 24), reductions=(1, 2, 4, 8, 16, 32), is_traced=True),
    FeatureKind(name="from_4", out_channels=(3, 12, 16, 20, 24), reductions=(1, 4, 8, 16, 32)),
    FeatureKind(name="from_8", out_channels=(3, 16, 20, 24), reductions=(1, 8, 16, 32)),
    FeatureKind(name="to_64", out_channels=(3, 20, 24, 28), reductions=(1, 16, 32, 64)),
    FeatureKind(name="steps_of_7", out_channels=(3, 12, 16, 20), reductions=(1, 7, 14, 28), is_traced=True),
    FeatureKind(name="repeated", out_channels=(3, 12, 16, 20), reductions=(1, 7, 14, 14)),
)
"""As ResNet, ConvNeXt, dilated or not; as LeViT and PiT, whose reductions no decoder knows."""


class FeaturesOfImage(nn.Module):
    """Shrunken copies of the image, (N, C, H, W), in place of an encoder's features; sizes round up.

    One parameter scales them all, so that gradients can be asked of a neck that has none, and none is left over where
    it does not use each feature.
    """

    def __init__(self, kind: FeatureKind) -> None:
        super().__init__()
        self.out_channels: list[int] = list(kind.out_channels)
        self.reductions: list[int] = list(kind.reductions)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """One (N, out_channels[i], H / reductions[i], W / reductions[i]) for each feature."""
        features: list[Tensor] = []
        for index, reduction in enumerate(self.reductions):
            height = (x.shape[2] + reduction - 1) // reduction
            width = (x.shape[3] + reduction - 1) // reduction
            missing = [0, width * reduction - x.shape[3], 0, height * reduction - x.shape[2]]
            copy = functional.avg_pool2d(functional.pad(x, missing), reduction)
            channels = self.out_channels[index]
            copies = copy.repeat(1, (channels + x.shape[1] - 1) // x.shape[1], 1, 1)[:, :channels]
            # Means are small where windows are large; features are not.
            features.append(copies * (self.scale * reduction))
        return features


class NeckOverImage(nn.Module):
    """A neck over `FeaturesOfImage`: (N, C, H, W) -> its levels."""

    def __init__(self, features: FeaturesOfImage, neck: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.neck = neck

    def forward(self, x: Tensor) -> list[Tensor]:
        """The neck's levels."""
        levels: list[Tensor] = self.neck(self.features(x))
        return levels


@dataclass(frozen=True, eq=False, repr=False)
class NeckCase(RegisteredCase[NeckSpec]):
    """A registered neck over the features of one kind of encoder.

    Attributes:
        kind: the features.
        is_main: whether this is the kind over which the checks run that need only one.
    """

    category = "neck"

    kind: FeatureKind
    is_main: bool = True

    @property
    def name(self) -> str:
        """``"<neck>-<kind of features>"``."""
        return f"{self.spec.name}-{self.kind.name}"

    @property
    def is_first(self) -> bool:
        """See `Case.is_first`."""
        return self.is_main

    @property
    def is_traced(self) -> bool:
        """See `Case.is_traced`."""
        return self.kind.is_traced

    @property
    def default_depth(self) -> int:
        """There are no others: the features are given."""
        return len(self.kind.reductions)

    @property
    def largest_reduction(self) -> int:
        """Of the features and of the levels."""
        return max(*self.kind.reductions, *self.spec.reductions)

    def make(self, *, depth: int, output_stride: int | None, in_channels: int) -> nn.Module:  # noqa: ARG002  # see above
        """See `ModuleCase.make`."""
        return NeckOverImage(FeaturesOfImage(self.kind), self.neck(output_stride=output_stride))

    def neck(self, *, output_stride: int | None = None) -> nn.Module:
        """The neck alone, built as smp-core builds it.

        Raises:
            ConformanceError: its target cannot be called so.
        """
        target = pkgutil.resolve_name(self.spec.target)
        arguments = {
            **self.spec.options,
            "out_channels": self.kind.out_channels,
            "reductions": self.kind.reductions,
            "tokens": self.kind.tokens,
            **({} if output_stride is None else {"output_stride": output_stride}),
        }
        try:
            inspect.signature(target).bind(**arguments)
        except TypeError as error:
            raise ConformanceError(
                f"{self.name}: its target cannot be called with {', '.join(arguments)}: {error}; expected a neck to "
                "take these keywords"
            ) from error
        module: nn.Module = target(**arguments)
        for name in ("out_channels", "reductions"):
            value = getattr(module, name, None)
            is_ints = isinstance(value, Sequence) and all(isinstance(item, int) for item in value)
            expect(is_ints, f"{self.name}: {name} of the built neck must be a tuple of ints, got {value!r}")
        return module


def neck_cases(neck: Registered[NeckSpec]) -> Iterator[NeckCase]:
    """One case for each kind of features that the neck takes."""
    kinds = (*(TRANSFORMERS if neck.spec.tokens else ()), *(PYRAMIDS if neck.spec.pyramid else ()))
    for kind in kinds:
        yield NeckCase(neck, kind, is_main=kind is kinds[0])
