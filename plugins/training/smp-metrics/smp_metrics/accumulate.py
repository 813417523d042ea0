"""What every score of :mod:`smp_metrics.streaming` is made of: a torchmetrics metric.

Needs torchmetrics: ``pip install "smp-metrics[torchmetrics]"``. The rest of the package does without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from smp_metrics.confusion import to_indices
from smp_metrics.ratios import ratio_of
from smp_metrics.reduce import ClassWeights, How, Reduction, ZeroDivision, evaluate, image_scores
from smp_metrics.stats import Mode, get_stats

try:
    from torchmetrics import Metric
except ImportError as error:
    raise ImportError(
        'the streaming metrics need torchmetrics: pip install "smp-metrics[torchmetrics]"; '
        "smp_metrics.ConfusionMatrix accumulates without it",
        name="torchmetrics",
    ) from error


class StreamingScore(Metric):
    """One score over all batches, the base of the classes below; not used by itself.

    Its memory does not grow with the number of images: it keeps counts per class, or, imagewise, the sum of the
    scores of the images. In a MetricCollection the metrics with the same counts share them, so that labels are
    counted once a batch. As all of torchmetrics, one must not be updated by several threads at once: give each its own,
    or use :class:`smp_metrics.ConfusionMatrix`.

    Args:
        mode: ``"binary"``, ``"multilabel"`` or ``"multiclass"``.
        num_classes: the number of classes C; not needed if binary.
        reduction: as of the score functions, ``"micro"``, ``"macro"``, ``"weighted"`` or their imagewise forms. For
            ``"none"`` the result is one score per class, over all images.
        ignore_index: pixels with this label do not count; see :func:`smp_metrics.get_stats`.
        threshold: binary and multilabel: positive is what is not below it; one number or one per class.
        class_weights: one number per class, for the weighted reductions.
        zero_division: the score where it is undefined; unlike the functions by default ``"skip"``, which leaves
            absent classes out of averages.
        settings: what every torchmetrics metric takes, such as ``dist_sync_on_step`` and ``process_group``;
            torchmetrics refuses what it does not know.

    Raises:
        ValueError: options that are unknown, missing or do not fit.
    """

    is_differentiable = False
    full_state_update = False
    higher_is_better = True

    score_name: ClassVar[str]
    """The name of its function."""

    beta: float = 1.0

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor
    image_sum: Tensor
    image_count: Tensor

    def __init__(
        self,
        mode: Mode,
        num_classes: int | None = None,
        reduction: Reduction = "macro",
        ignore_index: int | None = None,
        threshold: float | Sequence[float] | None = None,
        class_weights: ClassWeights | None = None,
        zero_division: ZeroDivision = "skip",
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        classes = 1 if mode == "binary" else num_classes
        if classes is None:
            raise ValueError(f"{type(self).__name__}: num_classes is needed in mode {mode!r}")
        self.mode = mode
        self.num_classes = classes
        self.ignore_index = ignore_index
        self.threshold = threshold
        weights = class_weights.tolist() if isinstance(class_weights, Tensor) else class_weights
        self.how = How(self.score_name, reduction, weights, zero_division)
        self.how.weights_for(classes, torch.zeros(()))
        self._check_options()
        source: tuple[object, ...] = (mode, classes, ignore_index, _plain(threshold))
        if self.how.is_imagewise:
            self.add_state("image_sum", torch.zeros(2), dist_reduce_fx=compensated_sum)
            self.add_state("image_count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
            source = (*source, self.score_name, self.beta, reduction, _plain(weights), zero_division)
        else:
            for key in ("tp", "fp", "fn", "tn"):
                self.add_state(key, torch.zeros(classes, dtype=torch.int64), dist_reduce_fx="sum")
        # A MetricCollection lets metrics share a state if their states are equal after the first batch. Two metrics
        # with different thresholds may well be, so that what the state is made of must be a part of it.
        digest = hashlib.sha256(repr(source).encode()).digest()[:16]
        self.add_state("made_of", torch.tensor(list(digest)), dist_reduce_fx="max")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count one batch.

        Args:
            preds: the output of :func:`smp_metrics.get_stats`, by the name that torchmetrics has for it; if multiclass
                also scores (N, C, ...) in floating point, of which the highest is taken.
            target: as of :func:`smp_metrics.get_stats`.

        Raises:
            TypeError: dtypes that make no sense.
            ValueError: shapes, devices or labels that do not fit.
        """
        if self.mode == "multiclass":
            preds = to_indices(preds, target, self.num_classes, type(self).__name__, self.ignore_index)
        counts = get_stats(preds, target, self.mode, self.ignore_index, self.threshold, self.num_classes)
        if counts[0].shape[1] != self.num_classes:
            raise ValueError(
                f"{type(self).__name__}: num_classes is {self.num_classes}, got {counts[0].shape[1]} channels"
            )
        if not self.how.is_imagewise:
            for key, count in zip(("tp", "fp", "fn", "tn"), counts, strict=True):
                setattr(self, key, getattr(self, key) + count.sum(0))
            return
        scores = image_scores(ratio_of(self.score_name, self.beta), counts, self.how)
        counted = ~scores.isnan() if self.how.zero_division == "skip" else torch.ones_like(scores, dtype=torch.bool)
        batch = torch.stack([scores[counted].sum(), scores.new_zeros(())])
        self.image_sum = compensated_sum(torch.stack([self.image_sum, batch.to(self.image_sum)]))
        self.image_count = self.image_count + counted.sum()

    def compute(self) -> Tensor:
        """The score over everything since the last reset: a scalar, or (C,) for the reduction "none"."""
        if self.how.is_imagewise:
            return self.image_sum.sum() / self.image_count
        counts = [getattr(self, key).unsqueeze(0) for key in ("tp", "fp", "fn", "tn")]
        value = evaluate(ratio_of(self.score_name, self.beta), counts, self.how)
        return value[0] if self.how.reduction in (None, "none") else value

    def _check_options(self) -> None:
        """Have get_stats judge the options by a batch without pixels, now and not at the first batch."""
        shape = (1, 0) if self.mode == "multiclass" else (1, self.num_classes, 0)
        nothing = torch.zeros(shape, dtype=torch.int64)
        get_stats(nothing, nothing, self.mode, self.ignore_index, self.threshold, self.num_classes)


def compensated_sum(rows: Tensor) -> Tensor:
    """(R, 2) -> (2,): the sum of pairs of a number and the digits that it has lost, by two-sum.

    Sums of float32 over many batches lose digits; float64 would not, but Apple's GPUs have none.
    Source: Knuth, The Art of Computer Programming 2, 4.2.2, theorem B.
    """
    high, low = rows[0]
    for other, rest in rows[1:]:
        total = high + other
        part = total - high
        lost = (high - (total - part)) + (other - part)
        # Infinite scores have no digits to lose, but infinity - infinity is NaN.
        low = low + rest + torch.where(total.isfinite(), lost, torch.zeros_like(lost))
        high = total
    return torch.stack([high, low])


def _plain(value: object) -> object:
    """Numbers in a form whose repr does not depend on how they were given."""
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(map(float, value))
    return float(value) if isinstance(value, (int, float)) else value
