"""Scores of whole batches, for the old trainer: over all images and channels at once."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def _kept(
    pr: Tensor, gt: Tensor, threshold: float | None, ignore_channels: Sequence[int] | None
) -> tuple[Tensor, Tensor]:
    """Prediction and labels without ignored channels, the prediction cut at a threshold where there is one."""
    if ignore_channels is not None:
        channels = [channel for channel in range(pr.shape[1]) if channel not in ignore_channels]
        pr, gt = pr[:, channels], gt[:, channels]
    return (pr if threshold is None else (pr > threshold).type(pr.dtype)), gt


def iou(
    pr: Tensor,
    gt: Tensor,
    eps: float = 1e-7,
    threshold: float | None = None,
    ignore_channels: Sequence[int] | None = None,
) -> Tensor:
    """Intersection over union.

    Args:
        pr: (N, C, ...), scores in [0, 1].
        gt: the same shape, 0 and 1.
        eps: added to both, so that nothing over nothing is 1.
        threshold: above which a score counts as 1; None for the scores themselves.
        ignore_channels: that do not count.
    """
    pr, gt = _kept(pr, gt, threshold, ignore_channels)
    intersection = (gt * pr).sum()
    return (intersection + eps) / (gt.sum() + pr.sum() - intersection + eps)


jaccard = iou


def f_score(
    pr: Tensor,
    gt: Tensor,
    beta: float = 1,
    eps: float = 1e-7,
    threshold: float | None = None,
    ignore_channels: Sequence[int] | None = None,
) -> Tensor:
    """F score, in which recall counts ``beta`` times as much as precision; arguments as of `iou`."""
    pr, gt = _kept(pr, gt, threshold, ignore_channels)
    hits = (gt * pr).sum()
    false_alarms, misses = pr.sum() - hits, gt.sum() - hits
    return ((1 + beta**2) * hits + eps) / ((1 + beta**2) * hits + beta**2 * misses + false_alarms + eps)


def accuracy(
    pr: Tensor, gt: Tensor, threshold: float | None = 0.5, ignore_channels: Sequence[int] | None = None
) -> Tensor:
    """Share of pixels that are right; arguments as of `iou`."""
    pr, gt = _kept(pr, gt, threshold, ignore_channels)
    return (gt == pr).sum().type(pr.dtype) / gt.numel()


def precision(
    pr: Tensor,
    gt: Tensor,
    eps: float = 1e-7,
    threshold: float | None = None,
    ignore_channels: Sequence[int] | None = None,
) -> Tensor:
    """Share of what is predicted that is right; arguments as of `iou`."""
    pr, gt = _kept(pr, gt, threshold, ignore_channels)
    hits = (gt * pr).sum()
    return (hits + eps) / (pr.sum() + eps)


def recall(
    pr: Tensor,
    gt: Tensor,
    eps: float = 1e-7,
    threshold: float | None = None,
    ignore_channels: Sequence[int] | None = None,
) -> Tensor:
    """Share of what is labelled that is found; arguments as of `iou`."""
    pr, gt = _kept(pr, gt, threshold, ignore_channels)
    hits = (gt * pr).sum()
    return (hits + eps) / (gt.sum() + eps)
