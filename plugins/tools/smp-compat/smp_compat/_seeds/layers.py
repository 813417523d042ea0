"""Layers as torch makes them, which is how SMP's decoders and heads leave them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

DRAWN = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
"""Layers whose parameters are random when torch makes them."""

_Kind = TypeVar("_Kind", bound=type[nn.Module])


def is_drawn_here(module: nn.Module) -> bool:
    """Whether a module's parameters are real, and drawn by the generator of the CPU."""
    return all(type(item) is nn.Parameter and item.device.type == "cpu" for item in module.parameters())


def redraw(module: nn.Module, start: Tensor) -> None:
    """Make the random parameters of a module again, as torch makes them, from a state of the generator on."""
    if not is_drawn_here(module):
        return
    torch.set_rng_state(start)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors is a no-op")
        for layer in module.modules():
            if isinstance(layer, DRAWN):
                layer.reset_parameters()


def left_as_made(kind: _Kind) -> _Kind:
    """For a class whose own initialisation SMP leaves to the model: alone, it is as torch makes it."""
    build: Callable[..., None] = kind.__init__

    @functools.wraps(build)
    def build_and_redraw(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        start = torch.get_rng_state()
        build(self, *args, **kwargs)
        redraw(self, start)

    kind.__init__ = build_and_redraw  # type: ignore[method-assign]
    return kind
