"""Cutting maps to the size that is true to an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Older versions of torch do not tell; there a compiled graph is treated as an exported one.
_is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)


def cut(x: Tensor, height: int, width: int) -> Tensor:
    """The upper left part of a map: (N, C, H, W) -> (N, C, height, width), neither larger than the map's.

    In a graph that a compiler records a slice up to a symbolic size has to be proved no larger than the map; less
    padding has not. Nor can an exporter prove what torch asks of the strides of a map whose channels lie innermost;
    which layout is fast is the affair of the runtime that gets the graph.
    """
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if torch.compiler.is_compiling():
            x = x.contiguous() if _is_exporting() else x
            return functional.pad(x, [0, width - x.shape[3], 0, height - x.shape[2]])
    return x[:, :, :height, :width]
