"""Convolutions by parts of one weight, of an inference form: of each skip that a decoder's block takes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_core.layers.known_conv import with_kernels
from smp_core.layers.made_of import MadeOf


class KnownParts:
    """The parts of one 3x3 convolution's weight, each a convolution in whichever way is fastest.

    Made when they are first wanted, and anew when the weight is another one. They are neither copied nor pickled: the
    copy makes its own.
    """

    def __init__(self) -> None:
        self._made: tuple[MadeOf, dict[tuple[int, int], nn.Module]] | None = None

    def convolve(self, x: Tensor, weight: Tensor, start: int, bias: Tensor | None) -> Tensor:
        """A 3x3 convolution, padded by 1, without a gradient, by the part of a weight from one input channel on.

        Args:
            x: (N, C, H, W), channels-last.
            weight: (O, more channels, 3, 3), a parameter.
            start: the part's first channel.
            bias: (O,), or None; always the same for one part.

        Returns:
            (N, O, H, W)
        """
        made, end = self._made, start + x.shape[1]
        if made is None or not made[0].is_still(weight):
            made = self._made = (MadeOf(weight), {})
        conv = made[1].get((start, end))
        if conv is None:
            conv = made[1][start, end] = _part(weight, start, end, bias)
        out: Tensor = conv(x)
        return out

    def __reduce__(self) -> tuple[type[KnownParts], tuple[()]]:
        return KnownParts, ()


def _part(weight: Tensor, start: int, end: int, bias: Tensor | None) -> nn.Module:
    conv = nn.Conv2d(end - start, weight.shape[0], 3, padding=1, bias=bias is not None, device="meta").eval()
    part = weight.detach()[:, start:end].contiguous(memory_format=torch.channels_last)
    conv.weight = nn.Parameter(part, requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach(), requires_grad=False)  # the same memory: what is written there is seen
    return next(with_kernels(nn.Sequential(conv)).children())
