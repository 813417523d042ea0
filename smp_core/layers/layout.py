"""In which order the values of a map lie in memory; the values are the same."""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

from smp_core.layers.forms import form_for
from smp_core.layers.recording import is_eager


def channels_innermost(x: Tensor) -> Tensor:
    """(N, C, H, W), same out, with the channels innermost in memory where that makes convolutions faster.

    On the CPU the convolutions of torch take such maps as they are, and rearrange others before and after each layer;
    where else it is so, `smp_core.layers.forms` says. A compiler chooses by itself, and a recorded graph has no use
    for it.
    """
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if is_eager(x) and form_for("layout", x, sys.maxsize) == "channels_last":
            return x.contiguous(memory_format=torch.channels_last)
    return x


def rows_innermost(x: Tensor) -> Tensor:
    """(N, C, H, W), same out, with its rows innermost in memory again, as everyone expects of a result.

    Where `channels_innermost` changes the layout.
    """
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if is_eager(x) and form_for("layout", x, sys.maxsize) == "channels_last":
            return x.contiguous()
    return x


def laid_out_for(x: Tensor, conv: nn.Module) -> Tensor:
    """A map, (N, C, H, W), same out, laid out as the weights are of the convolution that takes it.

    For many channels and few pixels: torch lays weights out as maps are, at each call, and these are larger than maps.
    """
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if is_eager(x) and form_for("layout", x, sys.maxsize) == "channels_last":
            weight = conv._parameters.get("weight")  # a parametrised one is not there, and not for us to compute
            innermost = (
                isinstance(weight, Tensor)
                and weight.dim() == x.dim()
                and weight.is_contiguous(memory_format=torch.channels_last)
                and not weight.is_contiguous()
            )
            return x.contiguous(memory_format=torch.channels_last if innermost else torch.contiguous_format)
    return x


def image_layout(x: Tensor) -> Tensor:
    """An image, (N, C, H, W), same out, laid out as a model is fastest with, that likes its channels innermost.

    torch then lays out each weight like the maps, at each call: as long as a small image takes itself.
    """
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if is_eager(x) and form_for("layout", x, x.shape[0] * x.shape[2] * x.shape[3]) == "channels_last":
            return x.contiguous(memory_format=torch.channels_last)
    return x
