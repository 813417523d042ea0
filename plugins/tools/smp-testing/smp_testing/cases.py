"""What checks look at: a plugin, an encoder, or an architecture over a tiny encoder.

A case knows how to build its module and what to feed it, through smp-core's public functions alone, as a user would.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from smp_core import SegmentationModel, create, create_encoder
from smp_core.parts.emptiness import parameters_without_memory
from smp_core.plugin import ArchitectureSpec, CommandSpec, EncoderSpec, NeckSpec
from smp_core.registry import Registered
from smp_testing.encoders import EncoderKind

ArchitectureOptions: TypeAlias = "Mapping[str, Any] | Callable[[nn.Module], Mapping[str, Any]]"
"""Options of an architecture, or what gives them for an encoder."""

AnySpec = TypeVar("AnySpec", EncoderSpec, ArchitectureSpec, NeckSpec)


class Case(ABC):
    """Anything that checks look at.

    Attributes:
        category: ``"plugin"``, ``"encoder"``, ``"architecture"`` or ``"neck"``.
    """

    category: ClassVar[str] = ""

    @property
    @abstractmethod
    def name(self) -> str:
        """How ids call it."""

    @property
    def spec_name(self) -> str:
        """How expected failures may call it too; several cases may share it."""
        return self.name

    @property
    def is_first(self) -> bool:
        """Whether it is the first one of its spec; what fails of this one need not be said of others."""
        return True

    @property
    def has_numbers(self) -> bool:
        """Whether it may be built with real weights; if not, it is built on the meta device alone."""
        return True

    @property
    def is_traced(self) -> bool:
        """Whether compiling and exporting it takes a bearable time."""
        return True

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False, repr=False)
class PluginCase(Case):
    """A distribution: what importing it does.

    Attributes:
        distribution: its name.
        modules: the modules that its specs' targets name.
        wrong_declarations: what is wrong with the names in its `smp_core.plugin.ConformanceSpec`, one line each.
        licences: pairs of what is licensed and how, as its specs say.
        commands: that it adds to ``smp``.
    """

    category = "plugin"

    distribution: str
    modules: tuple[str, ...]
    wrong_declarations: tuple[str, ...] = ()
    licences: tuple[tuple[str, str], ...] = ()
    commands: tuple[Registered[CommandSpec], ...] = ()

    @property
    def name(self) -> str:
        """The distribution's name."""
        return self.distribution


class ModuleCase(Case):
    """A case that builds a module. Modules built by it are seeded, so that a failure can be repeated."""

    @property
    @abstractmethod
    def scriptable(self) -> bool:
        """Whether the spec declares that TorchScript takes the module."""

    @property
    @abstractmethod
    def default_depth(self) -> int:
        """The depth that is built where none is given."""

    @property
    @abstractmethod
    def largest_reduction(self) -> int:
        """Of the features at the default depth, not dilated."""

    @abstractmethod
    def make(self, *, depth: int, output_stride: int | None, in_channels: int) -> nn.Module:
        """Build the module on the current default device."""

    @property
    def shallow_depth(self) -> int:
        """A depth at which what concerns the first layers, or any layer, shows at the least cost."""
        return self.default_depth

    def build(
        self, *, depth: int | None = None, output_stride: int | None = None, in_channels: int = 3, seed: int = 0
    ) -> nn.Module:
        """The module as a user gets it: on the CPU, in training mode, with random weights."""
        torch.default_generator.manual_seed(seed)
        return self.make(depth=depth or self.default_depth, output_stride=output_stride, in_channels=in_channels)

    def build_on_meta(
        self, *, depth: int | None = None, output_stride: int | None = None, in_channels: int = 3
    ) -> nn.Module:
        """The module without memory, in evaluation mode."""
        with torch.device("meta"):
            module = self.make(depth=depth or self.default_depth, output_stride=output_stride, in_channels=in_channels)
        return module.eval()

    def build_cheaply(
        self, *, depth: int | None = None, output_stride: int | None = None, in_channels: int = 3
    ) -> nn.Module:
        """The module in evaluation mode, on the meta device where it can be built there.

        One that cannot, as its constructor looks into tensors or keeps some that no ``to`` reaches, is built with
        them; that this is so is a check of its own, and no other one has to fail for it.
        """
        depth = depth or self.default_depth
        try:
            module = self.build_on_meta(depth=depth, output_stride=output_stride, in_channels=in_channels)
            if not _holds_loose_tensors(module):
                return module
        except (RuntimeError, NotImplementedError):
            pass
        if self.has_numbers:
            return self.build(depth=depth, output_stride=output_stride, in_channels=in_channels).eval()
        with parameters_without_memory():
            module = self.make(depth=depth, output_stride=output_stride, in_channels=in_channels)
        return module.eval().to("meta")

    def outline(self, *, depth: int | None = None, output_stride: int | None = None, in_channels: int = 3) -> nn.Module:
        """The module for checks of shapes, in evaluation mode: with zeros for weights, or on the meta device.

        Building it costs a fraction of `build`, as nothing is initialised; running it on the CPU costs less than on the
        meta device, most of whose kernels are written in Python.
        """
        module = self.build_cheaply(depth=depth, output_stride=output_stride, in_channels=in_channels)
        tensors = [*module.parameters(), *module.buffers()]
        if not self.has_numbers:
            return module.to("meta")
        if any(tensor.is_meta for tensor in tensors):
            module = module.to_empty(device="cpu")
            tensors = [*module.parameters(), *module.buffers()]
        else:  # only its own initialisation makes what it does not save
            tensors = [*module.state_dict().values()]
        with torch.no_grad():
            for tensor in tensors:
                tensor.zero_()
        return module

    def shared_outline(self) -> nn.Module:
        """The `outline` of the defaults, which checks share and must not change; the last one is kept."""
        return _shared_outline(self)

    def settled(self) -> nn.Module:
        """A module in evaluation mode none of whose parameters and buffers is what initialisation makes it.

        Checks share it and must not change it; the last one is kept. Without numbers, the shared outline.
        """
        return _settled(self) if self.has_numbers else _shared_outline(self)

    @property
    def unit(self) -> int:
        """The smallest height and width that has a whole number of every feature's cells."""
        return self.largest_reduction

    @property
    def size(self) -> int:
        """Height and width of images whose deepest feature is 2 x 2 at least, so that training statistics exist."""
        return max(64, 2 * self.largest_reduction)

    def image(
        self, batch: int = 2, height: int | None = None, width: int | None = None, *, channels: int = 3, seed: int = 0
    ) -> Tensor:
        """Noise of shape (batch, channels, height, width), on the device of `outline`."""
        shape = (batch, channels, height or self.size, width or self.size)
        if not self.has_numbers:
            return torch.empty(shape, device="meta")
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    def run(self, module: Callable[[Tensor], Any], x: Tensor) -> list[Tensor]:
        """Every tensor that the module returns, in order."""
        return tensors_of(module(x))


@dataclass(frozen=True, eq=False, repr=False)
class RegisteredCase(ModuleCase, Generic[AnySpec]):
    """What a plugin registers, by itself or over something that stands in for what it needs.

    Attributes:
        registered: its spec and who provides it.
    """

    registered: Registered[AnySpec]

    @property
    def spec(self) -> AnySpec:
        """Its spec."""
        return self.registered.spec

    @property
    def spec_name(self) -> str:
        """Its name, without what it is built over."""
        return self.spec.name

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    @property
    def scriptable(self) -> bool:
        """See `ModuleCase.scriptable`; what stands in always is."""
        return self.spec.scriptable


@dataclass(frozen=True, eq=False, repr=False)
class EncoderCase(RegisteredCase[EncoderSpec]):
    """A registered encoder.

    Attributes:
        has_numbers, is_traced: see `Case`.
    """

    category = "encoder"

    has_numbers: bool = True
    is_traced: bool = True

    @property
    def default_depth(self) -> int:
        """The largest."""
        return self.spec.max_depth

    @property
    def shallow_depth(self) -> int:
        """The smallest."""
        return self.spec.min_depth

    @property
    def largest_reduction(self) -> int:
        """Of all its features."""
        return max(self.spec.reductions)

    @property
    def unit(self) -> int:
        """See `ModuleCase.unit`."""
        return math.lcm(*self.spec.reductions)

    @property
    def size(self) -> int:
        """See `ModuleCase.size`; each of its reductions divides it."""
        return -(-max(64, 2 * self.largest_reduction) // self.unit) * self.unit

    def make(self, *, depth: int, output_stride: int | None, in_channels: int) -> nn.Module:
        """See `ModuleCase.make`. The core compares the module's attributes with the spec while it builds."""
        return create_encoder(
            self.registered.qualified_name,
            depth=depth,
            output_stride=output_stride,
            in_channels=in_channels,
            weights=None,
        )

    def features(self, module: nn.Module, x: Tensor) -> list[Tensor]:
        """The features alone, without the prefix tokens of a token encoder."""
        return self.features_of(module(x))

    def features_of(self, output: Any) -> list[Tensor]:
        """The features in what a module returned."""
        return list(output[0] if self.spec.tokens else output)


@dataclass(frozen=True, eq=False, repr=False)
class ArchitectureCase(RegisteredCase[ArchitectureSpec]):
    """A registered architecture over one kind of tiny encoder.

    Attributes:
        kind: the kind of encoder.
        is_main: whether this is the kind over which the checks run that need only one.
        options: of the architecture, for every model that is built.
        classes: channels of the masks.
    """

    category = "architecture"

    kind: EncoderKind
    is_main: bool = True
    options: ArchitectureOptions = field(default_factory=dict)
    classes: int = 3

    @property
    def name(self) -> str:
        """``"<architecture>-<kind of encoder>"``."""
        return f"{self.spec.name}-{self.kind.name}"

    @property
    def is_first(self) -> bool:
        """See `Case.is_first`."""
        return self.is_main

    @property
    def default_depth(self) -> int:
        """The architecture's, or the kind's smallest."""
        return max(self.spec.default_depth, self.kind.min_depth)

    @property
    def largest_reduction(self) -> int:
        """Of the encoder, were it not dilated."""
        return self.kind.largest_reduction(self.default_depth)

    @property
    def depths(self) -> range:
        """Every depth that both the architecture and the kind of encoder take."""
        return range(max(self.spec.min_depth, self.kind.min_depth), self.spec.max_depth + 1)

    def encoder(self, *, depth: int | None = None, output_stride: int | None = None, in_channels: int = 3) -> nn.Module:
        """A tiny encoder, dilated where the architecture asks for that."""
        if output_stride is None and self.spec.dilation:
            output_stride = self.spec.dilation[0]
        return self.kind.build(depth=depth or self.default_depth, output_stride=output_stride, in_channels=in_channels)

    def make(self, *, depth: int, output_stride: int | None, in_channels: int) -> nn.Module:
        """See `ModuleCase.make`."""
        return self.over(self.encoder(depth=depth, output_stride=output_stride, in_channels=in_channels))

    def over(self, encoder: nn.Module, **arguments: Any) -> SegmentationModel:
        """The model over a built encoder, with further arguments of `smp_core.create`."""
        options = self.options(encoder) if callable(self.options) else self.options
        return create(
            self.registered.qualified_name,
            encoder,
            **{"encoder_weights": None, "classes": self.classes, **options, **arguments},
        )


@functools.lru_cache(maxsize=1)
def _shared_outline(case: ModuleCase) -> nn.Module:
    return case.outline()


@functools.lru_cache(maxsize=1)
def _settled(case: ModuleCase) -> nn.Module:
    module = case.build()
    perturb(module)
    return module.eval()


def perturb(module: nn.Module) -> None:
    """Move every parameter and every buffer of the state dict off its initial value, keeping scales and signs.

    Initialisation hides faults: a branch whose last scale is zero passes no gradient, and a buffer that is not saved
    is what it was.
    """
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                noise = 0.2 * torch.rand(tensor.shape, generator=generator) - 0.1
                tensor.copy_(torch.where(tensor == 0, noise, tensor * (1 + noise)))


def _holds_loose_tensors(module: nn.Module) -> bool:
    """Whether a module has tensors that are neither parameters nor buffers."""
    return any(tensors_of([*vars(part).values()]) for part in module.modules())


def tensors_of(value: Any) -> list[Tensor]:
    """Every tensor in nested lists and tuples, in order."""
    if isinstance(value, Tensor):
        return [value]
    return [tensor for item in value for tensor in tensors_of(item)] if isinstance(value, (list, tuple)) else []
