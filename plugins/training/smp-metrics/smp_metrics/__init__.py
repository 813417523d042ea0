"""Metrics for semantic segmentation: counts, scores, a confusion matrix. Knows nothing of models; needs torch alone.

:mod:`smp_metrics.streaming` has the scores as torchmetrics metrics; it is imported on its own and needs torchmetrics.
"""

from smp_metrics.confusion import ConfusionMatrix
from smp_metrics.scores import (
    accuracy,
    balanced_accuracy,
    f1_score,
    false_discovery_rate,
    false_negative_rate,
    false_omission_rate,
    false_positive_rate,
    fbeta_score,
    iou_score,
    negative_likelihood_ratio,
    negative_predictive_value,
    positive_likelihood_ratio,
    positive_predictive_value,
    precision,
    recall,
    sensitivity,
    specificity,
)
from smp_metrics.stats import get_stats

__version__ = "1.0.0"

__all__ = [
    "ConfusionMatrix",
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
