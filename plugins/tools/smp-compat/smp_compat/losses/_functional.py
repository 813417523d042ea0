"""What SMP's losses are made of, for code that calls it: scores and terms with SMP's arguments and values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "focal_loss_with_logits",
    "label_smoothed_nll_loss",
    "soft_dice_score",
    "soft_jaccard_score",
    "soft_tversky_score",
    "softmax_focal_loss_with_logits",
    "to_tensor",
    "wing_loss",
]


def to_tensor(x: Any, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor, an array, or a list or tuple of numbers as a tensor, of another dtype where one is given.

    Raises:
        ValueError: anything else.
    """
    if isinstance(x, (list, tuple)):
        x = np.array(x)
    if isinstance(x, np.ndarray):
        x = torch.from_numpy(x)
    if not isinstance(x, Tensor):
        raise ValueError(f"expected a tensor, an array, a list or a tuple, got {type(x).__name__}")
    return x if dtype is None else x.type(dtype)


def focal_loss_with_logits(
    output: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    reduction: str = "mean",
    normalized: bool = False,
    reduced_threshold: float | None = None,
    eps: float = 1e-6,
) -> Tensor:
    """Binary focal loss (Lin et al., arXiv:1708.02002) of logits.

    Args:
        output, target: of one shape; values of the target in [0, 1].
        gamma: how much easy pixels are damped.
        alpha: weight of positives, negatives have 1 - alpha; None for no weights.
        reduction: ``"mean"``, ``"sum"``, ``"batchwise_mean"`` (the sum over the batch) or ``"none"``.
        normalized: divide by the sum of the factors (arXiv:1909.07829).
        reduced_threshold: the factor is 1 where the probability of the truth is below it (arXiv:1903.01347).
        eps: that sum is at least this.
    """
    target = target.type(output.type())
    entropy = functional.binary_cross_entropy_with_logits(output, target, reduction="none")
    factor = _factor(torch.exp(-entropy), gamma, reduced_threshold)
    loss = factor * entropy
    if alpha is not None:
        loss = loss * (alpha * target + (1 - alpha) * (1 - target))
    return _reduced(loss, factor, reduction, normalized, eps)


def softmax_focal_loss_with_logits(
    output: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    reduction: str = "mean",
    normalized: bool = False,
    reduced_threshold: float | None = None,
    eps: float = 1e-6,
) -> Tensor:
    """Focal loss of a softmax: (N, C, ...) and class indices (N, ...); arguments as `focal_loss_with_logits`."""
    entropy = functional.nll_loss(functional.log_softmax(output, dim=1), target, reduction="none")
    factor = _factor(torch.exp(-entropy), gamma, reduced_threshold)
    return _reduced(factor * entropy, factor, reduction, normalized, eps)


def _factor(probability: Tensor, gamma: float, threshold: float | None) -> Tensor:
    if threshold is None:
        return (1.0 - probability).pow(gamma)
    return torch.where(probability < threshold, 1.0, ((1.0 - probability) / threshold).pow(gamma))


def _reduced(loss: Tensor, factor: Tensor, reduction: str, normalized: bool, eps: float) -> Tensor:
    if normalized:
        loss = loss / factor.sum().clamp_min(eps)
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    return loss.sum(0) if reduction == "batchwise_mean" else loss


def soft_jaccard_score(
    output: Tensor, target: Tensor, smooth: float = 0.0, eps: float = 1e-7, dims: int | Sequence[int] | None = None
) -> Tensor:
    """Intersection over union of probabilities, summed over ``dims`` or everything; of one shape."""
    intersection, both = _sum(output * target, dims), _sum(output + target, dims)
    return (intersection + smooth) / (both - intersection + smooth).clamp_min(eps)


def soft_dice_score(
    output: Tensor, target: Tensor, smooth: float = 0.0, eps: float = 1e-7, dims: int | Sequence[int] | None = None
) -> Tensor:
    """Dice coefficient of probabilities: the Tversky index of two halves; arguments as `soft_jaccard_score`."""
    return soft_tversky_score(output, target, 0.5, 0.5, smooth, eps, dims)


def soft_tversky_score(
    output: Tensor,
    target: Tensor,
    alpha: float,
    beta: float,
    smooth: float = 0.0,
    eps: float = 1e-7,
    dims: int | Sequence[int] | None = None,
) -> Tensor:
    """Tversky index (arXiv:1706.05721) of probabilities: false positives count ``alpha``, false negatives ``beta``."""
    intersection = _sum(output * target, dims)
    false_alarms, misses = _sum(output * (1 - target), dims), _sum((1 - output) * target, dims)
    return (intersection + smooth) / (intersection + alpha * false_alarms + beta * misses + smooth).clamp_min(eps)


def _sum(values: Tensor, dims: int | Sequence[int] | None) -> Tensor:
    return values.sum() if dims is None else values.sum(dims if isinstance(dims, int) else tuple(dims))


def wing_loss(
    output: Tensor, target: Tensor, width: float = 5, curvature: float = 0.5, reduction: str = "mean"
) -> Tensor:
    """Wing loss (Feng et al., arXiv:1711.06753): logarithmic below ``width``, linear beyond; of one shape."""
    distance = (target - output).abs()
    offset = width - width * math.log(1 + width / curvature)
    loss = torch.where(distance < width, width * torch.log(1 + distance / curvature), distance - offset)
    return {"sum": loss.sum, "mean": loss.mean}.get(reduction, lambda: loss)()


def label_smoothed_nll_loss(
    lprobs: Tensor,
    target: Tensor,
    epsilon: float,
    ignore_index: int | None = None,
    reduction: str = "mean",
    dim: int = -1,
) -> Tensor:
    """Negative log-likelihood with smoothed labels (arXiv:1512.00567).

    Args:
        lprobs: log-probabilities, the classes along ``dim``.
        target: class indices, without that dimension or with one of size 1.
        epsilon: share of the label that is spread over all classes.
        ignore_index: label that does not count, but in the number that the mean divides by.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        dim: of the classes.
    """
    if target.dim() == lprobs.dim() - 1:
        target = target.unsqueeze(dim)
    ignored = target.eq(ignore_index) if ignore_index is not None else None
    index = target if ignored is None else target.masked_fill(ignored, 0)
    one, every = -lprobs.gather(dim, index), -lprobs.sum(dim, keepdim=True)
    if ignored is None:
        one, every = one.squeeze(dim), every.squeeze(dim)
    else:
        one, every = one.masked_fill(ignored, 0.0), every.masked_fill(ignored, 0.0)
    if reduction in ("sum", "mean"):
        one, every = (item.sum() if reduction == "sum" else item.mean() for item in (one, every))
    return (1.0 - epsilon) * one + epsilon / lprobs.size(dim) * every
