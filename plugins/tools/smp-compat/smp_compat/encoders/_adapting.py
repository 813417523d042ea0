"""Encoders written for segmentation_models_pytorch, as encoders of smp-core."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from smp_core.errors import PluginError


def pyramid(channels: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """``(out_channels, reductions)`` of features of reductions 1, 2, 4, ...; those of 0 channels are not there."""
    there = [(count, 2**level) for level, count in enumerate(channels) if count]
    return tuple(count for count, _ in there), tuple(reduction for _, reduction in there)


class _Adapted:
    """What an adapted encoder has before what its own class has."""

    _smp_compat_pyramid: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def out_channels(self) -> tuple[int, ...]:
        return self._smp_compat_pyramid[0]

    @property
    def reductions(self) -> tuple[int, ...]:
        return self._smp_compat_pyramid[1]

    @property
    def in_channels(self) -> int:
        return int(self._in_channels)  # type: ignore[attr-defined]

    def forward(self, x: Tensor) -> list[Tensor]:
        features = super().forward(x)  # type: ignore[misc]
        return [feature for feature in features if feature.shape[1]]

    def __reduce_ex__(self, protocol: Any) -> Any:
        # The class is made at run time, so that pickle does not find it by its name.
        return _restore, (type(self).__mro__[2], self.__dict__.copy())


def _restore(kind: type[nn.Module], state: dict[str, Any]) -> nn.Module:
    module = kind.__new__(kind)
    module.__dict__.update(state)
    module.__class__ = _class_of(kind)
    return module


def _class_of(kind: type[nn.Module]) -> type[nn.Module]:
    return _made(kind)  # type: ignore[arg-type]  # mypy takes nn.Module for unhashable


@functools.cache
def _made(kind: type[nn.Module]) -> type[nn.Module]:
    return type(kind.__name__, (_Adapted, kind), {"__module__": kind.__module__, "__qualname__": kind.__qualname__})


def is_encoder(module: nn.Module) -> bool:
    """Whether it is an encoder of smp-core as it is."""
    return hasattr(module, "reductions") and hasattr(module, "out_channels")


def adapt(encoder: nn.Module, name: str, output_stride: int | None = None) -> nn.Module:
    """The same module, of a class that has what `smp_core.Encoder` asks for; an encoder of smp-core stays as it is.

    Args:
        encoder: has segmentation_models_pytorch's ``out_channels`` and ``_in_channels``.
        name: for errors.
        output_stride: to which it was dilated; None where it was not.

    Raises:
        PluginError: it is neither.
    """
    if not isinstance(encoder, nn.Module):
        raise PluginError(f"encoder {name!r}: expected an nn.Module, got {type(encoder).__name__}")
    if is_encoder(encoder):
        return encoder
    missing = [item for item in ("out_channels", "_in_channels") if not hasattr(encoder, item)]
    if missing:
        raise PluginError(
            f"encoder {name!r}: {type(encoder).__name__} has no {' and no '.join(missing)}; expected what "
            "smp_compat.encoders._base.EncoderMixin gives, or out_channels and reductions as of smp_core.Encoder"
        )
    channels, reductions = pyramid(tuple(encoder.out_channels))  # type: ignore[arg-type]
    if output_stride is not None:
        reductions = tuple(min(reduction, output_stride) for reduction in reductions)
    encoder.__class__ = _class_of(type(encoder))
    vars(encoder)["_smp_compat_pyramid"] = channels, reductions
    vars(encoder).setdefault("first_convolution", _sees_the_input(encoder))
    return encoder


def _sees_the_input(encoder: nn.Module) -> str:
    """The name of the first convolution that takes the input's channels; empty where there is none."""
    return next(
        (
            name
            for name, layer in encoder.named_modules()
            if isinstance(layer, nn.Conv2d) and layer.in_channels == encoder._in_channels
        ),
        "",
    )
