"""Measuring what a timm model is: on the meta device, where a model of any size costs no memory.

What is found is data (`smp_timm.facts.Facts`). For every model of one timm release it ships with this distribution; a
model that a newer timm has besides is measured when it is asked for.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import timm
import torch
from torch import Tensor

from smp_core.layers.filling import NoFilling
from smp_timm.facts import Facts
from smp_timm.models import blocks_of, drop_unused, is_channels_last
from smp_timm.shapes import ShapesOnly
from smp_timm.tags import tags_of

# Sizes at which a model has to give true features before it counts as one that takes any size; its own besides.
_SIZES = ((250, 190), (256, 320), (97, 131), (224, 224))

# How many times the largest reduction a window, or a block of attention, may be wide.
_FACTORS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24)

# What frees a model from its own size, where its class has these arguments.
_FREEDOMS: tuple[dict[str, Any], ...] = (
    {},
    {"dynamic_img_size": True},
    {"strict_img_size": False},
    {"dynamic_img_size": True, "strict_img_size": False},
)

# Without memory, tables of relative positions are indexed beyond their ends; these models are given some.
_INDEXING_MODULES = ("mvitv2",)

# What a model raises at a size, or with an argument, that it does not take is anything at all.
_REFUSALS = (Exception,)


class NoEncoderError(ValueError):
    """A timm model that cannot be used as an encoder; says why."""


def probe(name: str) -> Facts:
    """Measure a model of the installed timm.

    Args:
        name: as timm lists it, without a tag.

    Raises:
        NoEncoderError: it does not run as an encoder at all.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _probe(name)


def _probe(name: str) -> Facts:
    full = empty(name, num_classes=0)
    net = empty(name, features_only=True)
    reductions, channels = tuple(net.feature_info.reduction()), tuple(net.feature_info.channels())
    tokens = len(reductions) > 1 and len({*reductions}) == 1 and hasattr(full, "forward_intermediates")
    height, width = (full.pretrained_cfg.get("input_size") or (3, 224, 224))[1:]
    subject = Subject(
        name=name,
        tokens=tokens,
        built=full if tokens else net,
        arguments=arguments_of(type(full)),
        reductions=reductions[:1] if tokens else reductions,
        channels=channels[:1] if tokens else channels,
        native=(int(height), int(width)),
    )
    module = timm.models.model_entrypoint(name).__module__.rpartition(".")[2]
    if module in _INDEXING_MODULES:
        subject.give_memory()
    sizes = sizes_of(subject)
    kept = {reduction: index for index, reduction in enumerate(subject.reductions)}  # the last of equal ones
    first = full.pretrained_cfg.get("first_conv") or ()
    return Facts(
        name=name,
        module=module,
        kind=f"{type(full).__module__.rpartition('.')[2]}.{type(full).__name__}",
        reductions=tuple(kept),
        channels=tuple(subject.channels[index] for index in kept.values()),
        positions=() if tokens else positions_of(net, kept.values()),
        blocks=blocks_of(full) if tokens else 0,
        prefix_tokens=prefix_tokens_of(full) if tokens else 0,
        input_size=subject.native,
        dilation=() if tokens else tuple(_dilation(subject)),
        any_channels=_takes_channels(subject),
        first_convolutions=(first,) if isinstance(first, str) else tuple(first),
        parameters=_parameters(subject),
        tags=tags_of(name),
        **sizes,
    )


class Subject:
    """A model that is measured, and what timm's metadata says of it."""

    def __init__(
        self,
        *,
        name: str,
        tokens: bool,
        built: Any,
        arguments: Sequence[str],
        reductions: Sequence[int],
        channels: Sequence[int],
        native: tuple[int, int],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.tokens = tokens
        self.built = built
        self.arguments = arguments
        self.reductions = reductions
        self.channels = channels
        self.native = native
        self.options = dict(options or {})
        self.device = "meta"
        self.looks_at_values = False

    def give_memory(self) -> None:
        """Measure it on the CPU."""
        self.device = "cpu"
        self.built = self.build()

    def build(self, **arguments: Any) -> Any:
        """Another one, or None where it does not take the arguments."""
        kind = {"num_classes": 0} if self.tokens else {"features_only": True}
        try:
            return empty(self.name, device=self.device, **kind, **{**self.options, **arguments})
        except _REFUSALS:
            return None

    def shapes(self, model: Any, height: int, width: int, channels: int = 3) -> list[tuple[int, ...]] | None:
        """Of the features at a size; None where it does not take that."""
        try:
            with torch.no_grad(), torch.device(self.device), ShapesOnly():
                x = torch.empty(1, channels, height, width)
                return [tuple(item.shape) for item in features_of(model, x, self.tokens)]
        except _REFUSALS as error:
            self.looks_at_values = self.looks_at_values or "meta tensors" in str(error)
            return None

    def wanted(self, height: int, width: int, stride: int = 1 << 30) -> list[tuple[int, ...]]:
        """The shapes that are true to the reductions."""
        return [
            (1, channels, math.ceil(height / min(reduction, stride)), math.ceil(width / min(reduction, stride)))
            for channels, reduction in zip(self.channels, self.reductions, strict=True)
        ]

    def is_true(self, model: Any, height: int, width: int, step: int) -> bool:
        """Whether the features of an image that is padded to multiples of ``step`` are true."""
        height, width = (math.ceil(item / step) * step for item in (height, width))
        return self.shapes(model, height, width) == self.wanted(height, width)

    def is_near(self, model: Any, height: int, width: int) -> bool:
        """Whether it runs, whatever the sizes of its features."""
        found = self.shapes(model, height, width)
        return found is not None and [item[:2] for item in found] == [(1, channels) for channels in self.channels]


def positions_of(net: Any, kept: Iterable[int]) -> tuple[int, ...]:
    """Where some of a model's features are among all that timm counts; empty where they are the first ones."""
    positions = tuple(net.feature_info.out_indices[index] for index in kept)
    return () if positions == tuple(range(len(positions))) else positions


def empty(name: str, *, device: str = "meta", **arguments: Any) -> Any:
    """A model without memory, or with memory that nobody filled."""
    with torch.device(device), NoFilling(only_meta=device == "meta"):
        return timm.create_model(name, pretrained=False, **arguments).eval()


def features_of(model: Any, x: Tensor, tokens: bool) -> list[Tensor]:
    """Its features, (N, C, H, W); of what keeps one resolution the last one."""
    if tokens:
        last = len(model.feature_info) - 1
        found: list[Tensor] = model.forward_intermediates(x, indices=[last], output_fmt="NCHW", intermediates_only=True)
        return found
    features: list[Tensor] = list(model(x))
    return [item.permute(0, 3, 1, 2) for item in features] if is_channels_last(model) else features


def prefix_tokens_of(full: Any) -> int:
    """How many tokens come before those of the image, and can be had."""
    if "return_prefix_tokens" not in inspect.signature(full.forward_intermediates).parameters:
        return 0
    return int(getattr(full, "num_prefix_tokens", 0) or 0)


def sizes_of(subject: Subject) -> dict[str, Any]:
    """How the model takes images of any size: the fields of `Facts` about that."""
    height, width = subject.native
    sizes = ((height + 1, width // 2), *_SIZES, subject.native)
    freedoms = [item for item in _FREEDOMS if {*item} <= {*subject.arguments} and {*item}.isdisjoint(subject.options)]
    built = [(item, subject.build(**item) if item or subject.options else subject.built) for item in freedoms]
    built = [(item, model) for item, model in built if model is not None]
    base = math.lcm(*subject.reductions)
    for step in (1, *(factor * base for factor in _FACTORS)):
        for freedom, model in built:
            if all(subject.is_true(model, *size, step) for size in sizes):
                return {"build": freedom, "multiple": step, "least": _least(subject, model, step)}
    for freedom, model in built:
        if all(subject.is_near(model, *size) for size in sizes):
            return {"build": freedom, "resized": True, "least": _least(subject, model, 0)}
    if not subject.is_near(subject.built, *subject.native):
        if subject.looks_at_values and subject.device == "meta":
            subject.give_memory()
            return sizes_of(subject)
        raise NoEncoderError(f"timm model {subject.name!r} does not run at its own size, {subject.native}")
    return {"fixed": True}


def remeasure(
    name: str,
    *,
    tokens: bool,
    reductions: Sequence[int],
    channels: Sequence[int],
    options: Mapping[str, Any],
    size: Sequence[int],
) -> dict[str, Any]:
    """How a model takes images of any size with some options: the arguments of `smp_timm.sizes.Sizes`.

    Args:
        name, tokens, reductions, channels: which model; of its features.
        options: arguments of the model.
        size: the height and width that it is made for with these.
    """
    subject = Subject(
        name=name,
        tokens=tokens,
        built=None,
        arguments=(),
        reductions=reductions,
        channels=channels,
        native=(size[0], size[1]),
        options=options,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject.built = subject.build()
        found = sizes_of(subject)
    found.pop("build", None)
    return {**found, "fixed": subject.native if found.get("fixed") else None}


def _least(subject: Subject, model: Any, step: int) -> int:
    """The least height and width that it takes; ``step`` is 0 where no size is exactly true."""
    for least in (1, 16, 32, 48, 64, 80):
        smaller = subject.is_true(model, least, least, step) if step else subject.is_near(model, least, least)
        if smaller and (subject.is_true(model, least + 1, least + 9, step) if step else True):
            return least
    return 97


def _dilation(subject: Subject) -> Iterator[int]:
    for stride in (8, 16):
        if stride < max(subject.reductions):
            model = subject.build(output_stride=stride)
            if model is not None and subject.shapes(model, 224, 224) == subject.wanted(224, 224, stride):
                yield stride


def _parameters(subject: Subject) -> int:
    """The number of parameters that its features are made with; what is no part of these is cut off."""
    if subject.tokens:
        subject.built.prune_intermediate_layers(prune_norm=True, prune_head=True)
    else:
        drop_unused(subject.built)
    return sum(item.numel() for item in subject.built.parameters())


def _takes_channels(subject: Subject) -> bool:
    model = subject.build(in_chans=4)
    return model is not None and subject.shapes(model, *subject.native, channels=4) is not None


# What this distribution says itself.
_NOT_FOR_USERS = (
    *("in_chans", "num_classes", "output_stride", "features_only", "out_indices", "device", "dtype"),
    *("in_channels", "depth", "output_indices", "model", "channels", "reduction", "reductions", "blocks"),
    *("prefix_tokens", "build", "sizes", "first_convolutions", "any_channels", "feature_norm"),
)


def options_of(model: str) -> tuple[str, ...]:
    """Names of the arguments of a model's class that a user may choose."""
    return tuple(name for name in arguments_of(type(empty(model, num_classes=0))) if name not in _NOT_FOR_USERS)


def arguments_of(kind: type) -> tuple[str, ...]:
    """Names of the arguments of a class, and of those to which it hands on what it does not name."""
    names: dict[str, None] = {}
    for one in kind.__mro__:
        if "__init__" not in vars(one) or one is torch.nn.Module:
            continue
        parameters = list(inspect.signature(one.__init__).parameters.values())[1:]  # type: ignore[misc]
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        names.update((item.name, None) for item in parameters if item.kind in named)
        if all(item.kind is not inspect.Parameter.VAR_KEYWORD for item in parameters):
            break
    return tuple(names)
