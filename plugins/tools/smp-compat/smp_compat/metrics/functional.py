"""SMP's counts and scores: `smp_metrics` with SMP's signatures and values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

import smp_metrics
from smp_metrics.reduce import ClassWeights, Reduction, ZeroDivision
from smp_metrics.stats import Mode

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "f1_score",
    "false_discovery_rate",
    "false_negative_rate",
    "false_omission_rate",
    "false_positive_rate",
    "fbeta_score",
    "get_stats",
    "iou_score",
    "negative_likelihood_ratio",
    "negative_predictive_value",
    "positive_likelihood_ratio",
    "positive_predictive_value",
    "precision",
    "recall",
    "sensitivity",
    "specificity",
]


def get_stats(
    output: Tensor,
    target: Tensor,
    mode: Mode,
    ignore_index: int | None = None,
    threshold: float | Sequence[float] | None = None,
    num_classes: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`smp_metrics.get_stats` with ``smp_values=True``; class indices beyond the classes belong to none, as in SMP."""
    try:
        return smp_metrics.get_stats(output, target, mode, ignore_index, threshold, num_classes, smp_values=True)
    except ValueError:
        found = _with_foreign_labels(output, target, mode, ignore_index, num_classes)
        if found is None:
            raise
        return found


def _with_foreign_labels(
    output: object, target: object, mode: str, ignore_index: int | None, num_classes: int | None
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Counts of indices of which some are no class; None where something else is wrong."""
    if mode != "multiclass" or ignore_index is not None or not isinstance(num_classes, int):
        return None
    if not isinstance(output, Tensor) or not isinstance(target, Tensor) or output.shape != target.shape:
        return None
    if output.is_floating_point() or target.is_floating_point() or output.ndim == 0:
        return None
    classes = torch.arange(num_classes, device=target.device).view(-1, 1)
    predicted, labelled = (item.flatten(1).unsqueeze(1) == classes for item in (output, target))
    tp, all_predicted, all_labelled = (item.sum(2) for item in (predicted & labelled, predicted, labelled))
    fp, fn = all_predicted - tp, all_labelled - tp
    return tp, fp, fn, predicted.shape[2] - tp - fp - fn


def _score(
    score: Callable[..., Tensor],
    counts: tuple[Tensor, Tensor, Tensor, Tensor],
    reduction: Reduction | None,
    class_weights: ClassWeights | None,
    zero_division: ZeroDivision,
) -> Tensor:
    """A score with SMP's values; of counts of one dimension, as SMP takes them, each is one of its own."""
    shape = counts[0].shape
    if len(shape) < 2:
        counts = tuple(item.reshape(-1, 1) for item in counts)  # type: ignore[assignment]
    result = score(
        *counts, reduction=reduction, class_weights=class_weights, zero_division=zero_division, smp_values=True
    )
    return result.reshape(shape) if len(shape) < 2 and reduction in (None, "none") else result


def fbeta_score(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    beta: float = 1.0,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.fbeta_score` with ``smp_values=True``."""
    score = functools.partial(smp_metrics.fbeta_score, beta=beta)
    return _score(score, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def f1_score(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.f1_score` with ``smp_values=True``."""
    return _score(smp_metrics.f1_score, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def iou_score(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.iou_score` with ``smp_values=True``."""
    return _score(smp_metrics.iou_score, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def accuracy(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.accuracy` with ``smp_values=True``."""
    return _score(smp_metrics.accuracy, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def precision(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.precision` with ``smp_values=True``."""
    return _score(smp_metrics.precision, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def recall(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.recall` with ``smp_values=True``."""
    return _score(smp_metrics.recall, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def sensitivity(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.sensitivity` with ``smp_values=True``."""
    return _score(smp_metrics.sensitivity, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def specificity(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.specificity` with ``smp_values=True``."""
    return _score(smp_metrics.specificity, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def balanced_accuracy(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.balanced_accuracy` with ``smp_values=True``."""
    return _score(smp_metrics.balanced_accuracy, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def positive_predictive_value(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.positive_predictive_value` with ``smp_values=True``."""
    return _score(smp_metrics.positive_predictive_value, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def negative_predictive_value(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.negative_predictive_value` with ``smp_values=True``."""
    return _score(smp_metrics.negative_predictive_value, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def false_negative_rate(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.false_negative_rate` with ``smp_values=True``."""
    return _score(smp_metrics.false_negative_rate, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def false_positive_rate(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.false_positive_rate` with ``smp_values=True``."""
    return _score(smp_metrics.false_positive_rate, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def false_discovery_rate(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.false_discovery_rate` with ``smp_values=True``."""
    return _score(smp_metrics.false_discovery_rate, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def false_omission_rate(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.false_omission_rate` with ``smp_values=True``."""
    return _score(smp_metrics.false_omission_rate, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def positive_likelihood_ratio(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.positive_likelihood_ratio` with ``smp_values=True``."""
    return _score(smp_metrics.positive_likelihood_ratio, (tp, fp, fn, tn), reduction, class_weights, zero_division)


def negative_likelihood_ratio(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
) -> Tensor:
    """`smp_metrics.negative_likelihood_ratio` with ``smp_values=True``."""
    return _score(smp_metrics.negative_likelihood_ratio, (tp, fp, fn, tn), reduction, class_weights, zero_division)
