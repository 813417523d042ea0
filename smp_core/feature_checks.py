"""What a model refuses of its encoder, once it runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from smp_core.errors import EncoderProtocolError
from smp_core.layers.recording import is_proxy


def check_dilation(encoder: nn.Module, features: Sequence[Tensor], height: int, width: int) -> None:
    """Compare the deepest feature of a dilated encoder with the output stride that it says.

    One that keeps its strides gives masks that are smaller than the image, and nothing else would tell. Other encoders
    may have been changed on purpose, so that nothing is asked of them.

    Args:
        encoder: whose ``reductions`` repeat the last one where it is dilated.
        features: what it returned.
        height, width: of the image that it was given.

    Raises:
        EncoderProtocolError: the feature is smaller than that.
    """
    reductions: Sequence[int] = getattr(encoder, "reductions", ())
    if len(reductions) < 2 or reductions[-1] != reductions[-2] or getattr(encoder, "tokens", False):
        return
    deepest = features[-1]
    if is_proxy(deepest) or torch.jit.is_tracing() or deepest.dim() != 4:
        return
    stride, found = reductions[-1], tuple(deepest.shape[2:])
    # One less than rounded down: encoders differ at the borders.
    if found[0] < height // stride - 1 or found[1] < width // stride - 1:
        raise EncoderProtocolError(
            f"{type(encoder).__name__} says that its deepest feature is at output stride {stride}, and that of an "
            f"image of {height} x {width} is {found[0]} x {found[1]}; expected about {height // stride} x "
            f"{width // stride}: an encoder whose spec names output strides (dilation) takes strides away and dilates "
            "in their place"
        )
