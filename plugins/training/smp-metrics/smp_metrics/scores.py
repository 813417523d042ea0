"""The scores, with the names, arguments, defaults and values of segmentation_models_pytorch (SMP) 0.6.0.

All take the counts of :func:`smp_metrics.get_stats` and stay on their device. What their arguments mean is said once,
in ``ARGUMENTS``, which becomes part of the docstring of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from smp_metrics import ratios
from smp_metrics.ratios import ratio_of
from smp_metrics.reduce import ClassWeights, How, Reduction, ZeroDivision, evaluate

ARGUMENTS = """
    Args:
        tp, fp, fn, tn: (N, C) counts per image and class on one device, as of get_stats; integers, or floating point.
        reduction: what is summed before, and averaged after the score is computed:

            - "micro": counts summed over images and classes; one score.
            - "macro": counts summed over images; the mean over classes.
            - "weighted": the same, weighted by ``class_weights``.
            - "micro-imagewise": counts summed over classes; the mean over images.
            - "macro-imagewise": of each image the mean over classes; the mean over images.
            - "weighted-imagewise": the same, the classes weighted by ``class_weights``.
            - "none" or None: one score per image and class.
        class_weights: one number per class, for the weighted reductions; only their proportions matter. The others
            do without.
        zero_division: the score where it is undefined, 0 / 0, as IoU is for a class that is neither in the image nor
            predicted. 1.0, the default of SMP, counts such a class as perfect and so raises averages. "skip" leaves
            it out of the averages, and an image of which no class is defined too; where nothing is left, and without
            a reduction, the score is NaN. "warn" is 0.0 with a UserWarning.
        smp_values: True gives the values of SMP where they are corrected here. With class weights, SMP divides a mean
            over classes by the number of classes C once more if the reduction is "weighted-imagewise",
            "macro-imagewise" or "macro", so that a perfect prediction scores 1 / C; here the first weighs once, and
            the other two, as SMP documents them, have no weights. With "micro", SMP heeds no zero_division: NaN.

    Returns:
        A scalar, or (N, C) without a reduction; in torch's default dtype if the counts are integers, on their device.

    Raises:
        TypeError: counts that are no tensors of numbers.
        ValueError: counts of different shapes or devices, an unknown reduction or zero_division, class weights that are
            missing, of another number than the classes, negative or all 0.

    Sources: https://en.wikipedia.org/wiki/Confusion_matrix
"""

Score = TypeVar("Score", bound=Callable[..., Tensor])


def _documented(score: Score) -> Score:
    score.__doc__ = f"{score.__doc__}\n{ARGUMENTS}"
    return score


@_documented
def fbeta_score(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    beta: float = 1.0,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """F score in which recall counts ``beta`` times as much as precision.

    It is (1 + beta^2) tp / ((1 + beta^2) tp + beta^2 fn + fp); ``beta`` must be at least 0.
    """
    how = How("fbeta_score", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratio_of("fbeta_score", beta), (tp, fp, fn, tn), how)


@_documented
def f1_score(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """F1 or Dice score, 2 tp / (2 tp + fn + fp): the harmonic mean of precision and recall."""
    how = How("f1_score", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratio_of("f1_score"), (tp, fp, fn, tn), how)


@_documented
def iou_score(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """IoU or Jaccard index, tp / (tp + fp + fn)."""
    how = How("iou_score", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.iou, (tp, fp, fn, tn), how)


@_documented
def accuracy(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """Share of right decisions, (tp + tn) / (tp + fp + fn + tn).

    The true negatives of every class count, so that with many classes it is near 1; the share of rightly classified
    pixels is recall with reduction "micro".
    """
    how = How("accuracy", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.accuracy, (tp, fp, fn, tn), how)


@_documented
def balanced_accuracy(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """Mean of recall and specificity."""
    how = How("balanced_accuracy", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.balanced_accuracy, (tp, fp, fn, tn), how)


@_documented
def precision(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """Precision, tp / (tp + fp): of the pixels predicted positive, the share that is."""
    how = How("precision", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.precision, (tp, fp, fn, tn), how)


@_documented
def positive_predictive_value(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """Another name of precision, tp / (tp + fp)."""
    how = How("positive_predictive_value", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.precision, (tp, fp, fn, tn), how)


@_documented
def recall(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """Recall, tp / (tp + fn): of the positive pixels, the share predicted so."""
    how = How("recall", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.recall, (tp, fp, fn, tn), how)


@_documented
def sensitivity(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """Another name of recall, tp / (tp + fn)."""
    how = How("sensitivity", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.recall, (tp, fp, fn, tn), how)


@_documented
def specificity(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """Specificity, tn / (tn + fp): of the negative pixels, the share predicted so."""
    how = How("specificity", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.specificity, (tp, fp, fn, tn), how)


@_documented
def negative_predictive_value(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """The ratio tn / (tn + fn): of the pixels predicted negative, the share that is."""
    how = How("negative_predictive_value", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.negative_predictive_value, (tp, fp, fn, tn), how)


@_documented
def false_negative_rate(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """The ratio fn / (fn + tp): of the positive pixels, the share missed. Lower is better."""
    how = How("false_negative_rate", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.false_negative_rate, (tp, fp, fn, tn), how)


@_documented
def false_positive_rate(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """The ratio fp / (fp + tn): of the negative pixels, the share taken for positive. Lower is better."""
    how = How("false_positive_rate", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.false_positive_rate, (tp, fp, fn, tn), how)


@_documented
def false_discovery_rate(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """The ratio fp / (fp + tp): of the pixels predicted positive, the share that is negative. Lower is better."""
    how = How("false_discovery_rate", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.false_discovery_rate, (tp, fp, fn, tn), how)


@_documented
def false_omission_rate(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """The ratio fn / (fn + tn): of the pixels predicted negative, the share that is positive. Lower is better."""
    how = How("false_omission_rate", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.false_omission_rate, (tp, fp, fn, tn), how)


@_documented
def positive_likelihood_ratio(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """Recall over the false positive rate; infinite without false positives."""
    how = How("positive_likelihood_ratio", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.positive_likelihood_ratio, (tp, fp, fn, tn), how)


@_documented
def negative_likelihood_ratio(
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    tn: Tensor,
    reduction: Reduction | None = None,
    class_weights: ClassWeights | None = None,
    zero_division: ZeroDivision = 1.0,
    *,
    smp_values: bool = False,
) -> Tensor:
    """False negative rate over specificity; lower is better, infinite without true negatives."""
    how = How("negative_likelihood_ratio", reduction, class_weights, zero_division, smp_values)
    return evaluate(ratios.negative_likelihood_ratio, (tp, fp, fn, tn), how)
