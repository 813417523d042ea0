"""The sums over pixels by operations of torch, differentiable: for faults, and for second derivatives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def sums_dtype(scores: Tensor) -> torch.dtype:
    """In which sums of scores are taken."""
    return torch.float64 if scores.dtype == torch.float64 else torch.float32


def plain_region_sums(scores: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """As `smp_kernels.pixels.softmax_sums`."""
    probability, hits = _shares(scores, valid).softmax(1), _hits(scores, target, valid)
    if valid is not None:
        probability = probability * valid.unsqueeze(1)
    return (probability * hits).sum((0, 2)), probability.sum((0, 2)), hits.sum((0, 2))


def plain_focal_sums(
    scores: Tensor,
    target: Tensor,
    valid: Tensor | None,
    alpha: float | None,
    gamma: float,
    threshold: float | None,
) -> Tensor:
    """As `smp_kernels.pixels.focal_sums`."""
    x, hits = _shares(scores, valid), _hits(scores, target, valid)
    z = x * (1 - 2 * hits)
    factor = (gamma * logsigmoid(z)).exp()
    if threshold is not None:
        factor = torch.where(torch.sigmoid(-z) < threshold, 1, factor / threshold**gamma)
    terms = factor * -logsigmoid(-z)
    if alpha is not None:
        terms = terms * (hits * (2 * alpha - 1) + (1 - alpha))
    return (terms if valid is None else terms * valid.unsqueeze(1)).sum((0, 2))


def _shares(scores: Tensor, valid: Tensor | None) -> Tensor:
    """Scores in the dtype of sums, 0 where nothing counts, NaN too."""
    x = scores.to(sums_dtype(scores))
    return x if valid is None else x.masked_fill(~valid.unsqueeze(1), 0)


def _hits(scores: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
    """(N, C, P): 1 at the class of each pixel that counts."""
    hits = torch.zeros_like(scores, dtype=sums_dtype(scores)).scatter_(1, target.unsqueeze(1), 1)
    return hits if valid is None else hits.mul_(valid.unsqueeze(1))
