"""The scores as plain formulas over counts of one shape; NaN where nothing is divided by nothing."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Ratio = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def fbeta(beta: float) -> Ratio:
    """The F score in which recall counts ``beta`` times as much as precision."""

    def ratio(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:  # noqa: ARG001 - one signature for all
        right = (1 + beta**2) * tp
        return right / (right + beta**2 * fn + fp)

    return ratio


def iou(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:  # noqa: ARG001
    """Intersection over union."""
    return tp / (tp + fp + fn)


def accuracy(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
    """The share of right decisions."""
    return (tp + tn) / (tp + fp + fn + tn)


def precision(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:  # noqa: ARG001
    """Of the pixels predicted positive, the share that is."""
    return tp / (tp + fp)


def recall(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:  # noqa: ARG001
    """Of the positive pixels, the share predicted so."""
    return tp / (tp + fn)


def specificity(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:  # noqa: ARG001
    """Of the negative pixels, the share predicted so."""
    return tn / (tn + fp)


def balanced_accuracy(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
    """The mean of recall and specificity."""
    return (recall(tp, fp, fn, tn) + specificity(tp, fp, fn, tn)) / 2


def negative_predictive_value(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:  # noqa: ARG001
    """Of the pixels predicted negative, the share that is."""
    return tn / (tn + fn)


def false_negative_rate(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:  # noqa: ARG001
    """Of the positive pixels, the share missed."""
    return fn / (fn + tp)


def false_positive_rate(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:  # noqa: ARG001
    """Of the negative pixels, the share taken for positive."""
    return fp / (fp + tn)


def false_discovery_rate(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:  # noqa: ARG001
    """Of the pixels predicted positive, the share that is negative."""
    return fp / (fp + tp)


def false_omission_rate(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:  # noqa: ARG001
    """Of the pixels predicted negative, the share that is positive."""
    return fn / (fn + tn)


def positive_likelihood_ratio(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
    """Recall over the false positive rate."""
    return recall(tp, fp, fn, tn) / false_positive_rate(tp, fp, fn, tn)


def negative_likelihood_ratio(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
    """The false negative rate over specificity."""
    return false_negative_rate(tp, fp, fn, tn) / specificity(tp, fp, fn, tn)


RATIOS: dict[str, Ratio] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1_score": fbeta(1.0),
    "false_discovery_rate": false_discovery_rate,
    "false_negative_rate": false_negative_rate,
    "false_omission_rate": false_omission_rate,
    "false_positive_rate": false_positive_rate,
    "iou_score": iou,
    "negative_likelihood_ratio": negative_likelihood_ratio,
    "negative_predictive_value": negative_predictive_value,
    "positive_likelihood_ratio": positive_likelihood_ratio,
    "positive_predictive_value": precision,
    "precision": precision,
    "recall": recall,
    "sensitivity": recall,
    "specificity": specificity,
}
"""Every score by name but fbeta_score, which has an argument; :func:`ratio_of` knows that too."""

SCORE_NAMES = (*sorted([*RATIOS, "fbeta_score"]),)


def ratio_of(name: str, beta: float = 1.0) -> Ratio:
    """The formula of a score by the name of its function.

    Raises:
        ValueError: an unknown name, or a negative ``beta``.
    """
    if name == "fbeta_score":
        if not beta >= 0:
            raise ValueError(f"fbeta_score: beta must be at least 0, got {beta}")
        return fbeta(beta)
    if name not in RATIOS:
        raise ValueError(f"unknown score {name!r}; known are {', '.join(SCORE_NAMES)}")
    return RATIOS[name]
