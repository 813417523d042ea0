"""Cutting maps to the size that is true to an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cut(x: Tensor, height: int, width: int) -> Tensor:
    """The upper left part of a map: (N, C, H, W) -> (N, C, height, width), neither larger than the map's.

    In a graph that a compiler records a slice up to a symbolic size has to be proved no larger than the map; less
    padding has not.
    """
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if torch.compiler.is_compiling():
            return functional.pad(x, [0, width - x.shape[3], 0, height - x.shape[2]])
    return x[:, :, :height, :width]
