"""Whether arguments fit each other: kernels compute places in memory from sizes, and would read beyond."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_step(
    x: Tensor | None,
    skip: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    transposed: Tensor | None,
    height: int,
    width: int,
) -> None:
    """Of a decoder step, see `smp_kernels.step.decoder_step`; sizes may be symbols.

    Raises:
        RuntimeError: as torch raises it of a convolution; says what came and what was expected.
    """
    given = skip if x is None else x
    if given is None:
        raise RuntimeError("decoder_step: expected a map to upsample, a skip, or both; got neither")
    _check_kinds(
        "decoder_step", {"x": x, "skip": skip, "weight": weight, "bias": bias, "transposed": transposed}, weight
    )
    if given.dim() != 4 or weight.dim() != 4 or weight.shape[2] != 3 or weight.shape[3] != 3:
        raise RuntimeError(
            "decoder_step: expected maps (N, C, H, W) and a weight (out_channels, in_channels, 3, 3); got "
            f"{_shape(given)} and {_shape(weight)}"
        )
    batch, channels, joined = given.shape[0], weight.shape[0], weight.shape[1]
    up = 0 if x is None else x.shape[1]
    skip_channels = joined - up
    if x is not None:
        # One comparison an axis, as the core asks it: a size is twice that of the map, or one less.
        if not (0 <= 2 * x.shape[2] - height <= 1 and 0 <= 2 * x.shape[3] - width <= 1):
            raise RuntimeError(
                f"decoder_step: expected a map of half of {height}x{width}, rounded up; got x of shape {_shape(x)}"
            )
        if skip is None and skip_channels != 0:
            raise RuntimeError(
                f"decoder_step: expected x with {joined} channels, as there is no skip and the weight has shape "
                f"{_shape(weight)}; got {_shape(x)}"
            )
    expected: tuple[tuple[str, Tensor | None, tuple[Any, ...]], ...] = (
        ("skip", skip, (batch, skip_channels, height, width)),
        ("bias", bias, (channels,)),
        ("transposed", transposed, (up, channels, 4, 4)),
    )
    for which, item, shape in expected:
        if item is not None and item.shape != shape:
            raise RuntimeError(
                f"decoder_step: expected {which} of shape {shape}, for a weight {_shape(weight)} and {up} channels of "
                f"x; got {_shape(item)}"
            )


def check_sums(name: str, scores: Tensor, target: Tensor, valid: Tensor | None) -> None:
    """Of sums over pixels, see `smp_kernels.pixels`.

    Raises:
        RuntimeError: says what came and what was expected.
    """
    if scores.dim() != 3 or scores.dtype not in _FLOATS:
        raise RuntimeError(
            f"{name}: expected floating-point scores (N, C, P); got {scores.dtype} of shape {_shape(scores)}"
        )
    pixels = (scores.shape[0], scores.shape[2])
    for which, item, dtype in (("target", target, torch.int64), ("valid", valid, torch.bool)):
        if item is None:
            continue
        if item.shape != pixels or item.dtype != dtype or item.device != scores.device:
            raise RuntimeError(
                f"{name}: expected {which} as {dtype} of shape {pixels} on {scores.device}, for scores of shape "
                f"{_shape(scores)}; got {item.dtype} of shape {_shape(item)} on {item.device}"
            )


def _check_kinds(name: str, items: dict[str, Tensor | None], like: Tensor) -> None:
    """All of one dtype and on one device."""
    wrong = like.dtype not in _FLOATS
    for item in items.values():
        wrong = wrong or (item is not None and (item.dtype != like.dtype or item.device != like.device))
    if wrong:
        found = ", ".join(f"{key} {item.dtype} on {item.device}" for key, item in items.items() if item is not None)
        raise RuntimeError(
            f"{name}: expected tensors of one dtype, float16, bfloat16, float32 or float64, on one device; got {found}"
        )


def _shape(item: Tensor) -> tuple[Any, ...]:
    return tuple(item.shape)
