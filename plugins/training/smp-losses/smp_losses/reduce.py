"""Class weights, and the sums and means that the losses share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# How many pixels are summed one after the other before partial sums are added in pairs. A single running float32 sum
# over a whole batch would lose digits, and stands still at 2**24.
_BLOCK = 4096


def weights_tensor(class_weights: Sequence[float] | Tensor | None, loss: str, mode: str | None = None) -> Tensor | None:
    """Class weights as a float32 tensor of shape (C,), or None.

    Raises:
        ValueError: not one-dimensional, not finite, negative, all zero, or given in binary mode, where a single weight
            would cancel.
    """
    if class_weights is None:
        return None
    if mode == "binary":
        raise ValueError(f"{loss}: class_weights need the mode 'multiclass' or 'multilabel'; binary has a single class")
    weights = torch.as_tensor(class_weights, dtype=torch.float32).detach().clone()
    values = weights.flatten().tolist()
    if weights.ndim != 1 or not values:
        raise ValueError(f"{loss}: class_weights must be one number per class, got shape {tuple(weights.shape)}")
    if not all(math.isfinite(value) and value >= 0 for value in values) or sum(values) == 0:
        raise ValueError(f"{loss}: class_weights must be finite, not negative and not all zero, got {values}")
    return weights


def weights_like(class_weights: Tensor | None, classes: int, like: Tensor, loss: str) -> Tensor | None:
    """Class weights on the device of ``like`` and in the dtype of its sums, checked against the number of classes.

    Raises:
        ValueError: their number is not that of the classes.
    """
    if class_weights is None:
        return None
    if class_weights.shape[0] != classes:
        raise ValueError(f"{loss}: {class_weights.shape[0]} class_weights were given, but y_pred has {classes} classes")
    return class_weights.to(like.device, torch.float64 if like.dtype == torch.float64 else torch.float32)


def class_mean(values: Tensor, weights: Tensor | None, counted: Tensor | None) -> Tensor:
    """The mean over the last axis, weighted, over the entries that count; 0 where none does.

    Args:
        values: (..., C).
        weights: (C,), or None: all equal.
        counted: (..., C) bool, or None: all count.
    """
    shares = torch.ones_like(values) if weights is None else weights.expand_as(values)
    if counted is not None:
        shares = shares * counted
        values = torch.where(counted, values, 0)
    total = shares.sum(-1)
    return (values * shares).sum(-1) / torch.where(total > 0, total, 1)


def safe_ratio(numerator: Tensor, count: Tensor) -> Tensor:
    """The quotient, and 0 where the count is 0."""
    return numerator / count.clamp_min(1)


def class_sums(values: Tensor, index: Tensor, classes: int) -> Tensor:
    """Sums of values by class index, per image: (N, P), (N, P) -> (N, classes). Differentiable in the values.

    No one-hot tensor is made. The pixels are summed in blocks, which keeps float32 exact enough and spreads the atomic
    additions of a GPU over more addresses.
    """
    n, pixels = index.shape
    blocks = max(1, math.ceil(pixels / _BLOCK))
    offset = torch.arange(pixels, device=index.device).div(_BLOCK, rounding_mode="floor").mul_(classes)
    sums = values.new_zeros(n, blocks * classes).scatter_add(1, index + offset, values)
    return sums.view(n, blocks, classes).sum(1)
