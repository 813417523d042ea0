"""The streaming form of each score of :mod:`smp_metrics`, a torchmetrics metric by the name of its function.

Needs torchmetrics: ``pip install "smp-metrics[torchmetrics]"``. The rest of the package does without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smp_metrics.accumulate import StreamingScore
from smp_metrics.ratios import ratio_of
from smp_metrics.reduce import ClassWeights, Reduction, ZeroDivision
from smp_metrics.stats import Mode

__all__ = [
    "Accuracy",
    "BalancedAccuracy",
    "F1Score",
    "FBetaScore",
    "FalseDiscoveryRate",
    "FalseNegativeRate",
    "FalseOmissionRate",
    "FalsePositiveRate",
    "IoUScore",
    "NegativeLikelihoodRatio",
    "NegativePredictiveValue",
    "PositiveLikelihoodRatio",
    "PositivePredictiveValue",
    "Precision",
    "Recall",
    "Sensitivity",
    "Specificity",
    "StreamingScore",
]


class FBetaScore(StreamingScore):
    """Streaming :func:`smp_metrics.fbeta_score`; see :class:`StreamingScore` for what is not said here.

    Args:
        beta: how much recall counts, relative to precision; at least 0.
    """

    score_name = "fbeta_score"

    def __init__(
        self,
        mode: Mode,
        num_classes: int | None = None,
        reduction: Reduction = "macro",
        ignore_index: int | None = None,
        threshold: float | Sequence[float] | None = None,
        class_weights: ClassWeights | None = None,
        zero_division: ZeroDivision = "skip",
        beta: float = 1.0,
        **settings: Any,
    ) -> None:
        ratio_of(self.score_name, beta)
        # The base needs it while it makes its states.
        self.beta = beta
        super().__init__(
            mode, num_classes, reduction, ignore_index, threshold, class_weights, zero_division, **settings
        )


class IoUScore(StreamingScore):
    """Streaming :func:`smp_metrics.iou_score`; see :class:`StreamingScore`."""

    score_name = "iou_score"


class F1Score(StreamingScore):
    """Streaming :func:`smp_metrics.f1_score`; see :class:`StreamingScore`."""

    score_name = "f1_score"


class Accuracy(StreamingScore):
    """Streaming :func:`smp_metrics.accuracy`; see :class:`StreamingScore`."""

    score_name = "accuracy"


class BalancedAccuracy(StreamingScore):
    """Streaming :func:`smp_metrics.balanced_accuracy`; see :class:`StreamingScore`."""

    score_name = "balanced_accuracy"


class Precision(StreamingScore):
    """Streaming :func:`smp_metrics.precision`; see :class:`StreamingScore`."""

    score_name = "precision"


class PositivePredictiveValue(StreamingScore):
    """Streaming :func:`smp_metrics.positive_predictive_value`; see :class:`StreamingScore`."""

    score_name = "positive_predictive_value"


class Recall(StreamingScore):
    """Streaming :func:`smp_metrics.recall`; see :class:`StreamingScore`."""

    score_name = "recall"


class Sensitivity(StreamingScore):
    """Streaming :func:`smp_metrics.sensitivity`; see :class:`StreamingScore`."""

    score_name = "sensitivity"


class Specificity(StreamingScore):
    """Streaming :func:`smp_metrics.specificity`; see :class:`StreamingScore`."""

    score_name = "specificity"


class NegativePredictiveValue(StreamingScore):
    """Streaming :func:`smp_metrics.negative_predictive_value`; see :class:`StreamingScore`."""

    score_name = "negative_predictive_value"


class FalseNegativeRate(StreamingScore):
    """Streaming :func:`smp_metrics.false_negative_rate`; see :class:`StreamingScore`."""

    score_name = "false_negative_rate"
    higher_is_better = False


class FalsePositiveRate(StreamingScore):
    """Streaming :func:`smp_metrics.false_positive_rate`; see :class:`StreamingScore`."""

    score_name = "false_positive_rate"
    higher_is_better = False


class FalseDiscoveryRate(StreamingScore):
    """Streaming :func:`smp_metrics.false_discovery_rate`; see :class:`StreamingScore`."""

    score_name = "false_discovery_rate"
    higher_is_better = False


class FalseOmissionRate(StreamingScore):
    """Streaming :func:`smp_metrics.false_omission_rate`; see :class:`StreamingScore`."""

    score_name = "false_omission_rate"
    higher_is_better = False


class PositiveLikelihoodRatio(StreamingScore):
    """Streaming :func:`smp_metrics.positive_likelihood_ratio`; see :class:`StreamingScore`."""

    score_name = "positive_likelihood_ratio"


class NegativeLikelihoodRatio(StreamingScore):
    """Streaming :func:`smp_metrics.negative_likelihood_ratio`; see :class:`StreamingScore`."""

    score_name = "negative_likelihood_ratio"
    higher_is_better = False
