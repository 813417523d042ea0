"""From counts per image and class to the number asked for: what is summed first, what is averaged last, and how
scores count that are undefined.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from smp_metrics.ratios import Ratio

Reduction = Literal["micro", "macro", "weighted", "micro-imagewise", "macro-imagewise", "weighted-imagewise", "none"]
ClassWeights = Sequence[float] | Tensor
ZeroDivision = float | Literal["warn", "skip"]


@dataclass(frozen=True)
class How:
    """How counts become a score; the arguments of every score function, which document them.

    Raises:
        ValueError: an unknown reduction or zero_division, weights that are missing or no weights.
    """

    score: str
    reduction: Reduction | None = None
    class_weights: ClassWeights | None = None
    zero_division: ZeroDivision = 1.0
    smp_values: bool = False

    def __post_init__(self) -> None:
        if self.reduction is not None and self.reduction not in get_args(Reduction):
            known = ", ".join(map(repr, get_args(Reduction)))
            raise ValueError(f"{self.score}: reduction must be one of {known} or None, got {self.reduction!r}")
        value = self.zero_division
        if value not in ("warn", "skip") and (isinstance(value, str) or not isinstance(value, (int, float))):
            raise ValueError(f"{self.score}: zero_division must be a number, 'warn' or 'skip', got {value!r}")
        if not self.is_weighted:
            return
        if self.class_weights is None:
            raise ValueError(f"{self.score}: reduction={self.reduction!r} needs class_weights, one number per class")
        weights = torch.as_tensor(self.class_weights)
        if weights.ndim != 1 or not bool((weights >= 0).all()) or not 0 < float(weights.sum()) < math.inf:
            raise ValueError(
                f"{self.score}: class_weights must be one number per class, none negative and not all 0, "
                f"got {weights.tolist()}"
            )

    @property
    def is_weighted(self) -> bool:
        """Whether classes count by weight."""
        return self.reduction in ("weighted", "weighted-imagewise")

    @property
    def is_imagewise(self) -> bool:
        """Whether the score is an average over images."""
        return self.reduction is not None and self.reduction.endswith("-imagewise")

    def weights_for(self, classes: int, like: Tensor) -> Tensor | None:
        """(C,), adding up to 1; None where the classes count alike.

        Raises:
            ValueError: another number of weights than classes.
        """
        wanted = self.is_weighted or (self.smp_values and self.reduction in ("macro", "macro-imagewise"))
        if not wanted or self.class_weights is None:
            return None
        weights = torch.as_tensor(self.class_weights).to(like)
        if tuple(weights.shape) != (classes,):
            raise ValueError(
                f"{self.score}: class_weights must be one number per class, {classes}, got {weights.tolist()}"
            )
        return weights / weights.sum()


def check_counts(counts: Sequence[Tensor], score: str) -> None:
    """Raise unless tp, fp, fn and tn are real tensors (N, C) of one shape and one device.

    Raises:
        TypeError: no tensors, bools or complex numbers.
        ValueError: shapes or devices that do not fit, or, on the CPU, negative numbers or NaN.
    """
    for name, value in zip(("tp", "fp", "fn", "tn"), counts, strict=True):
        if not isinstance(value, Tensor):
            raise TypeError(f"{score}: {name} must be a tensor, got {type(value).__name__}")
        if value.is_complex() or value.dtype == torch.bool:
            raise TypeError(f"{score}: {name} must hold counts, got {value.dtype}")
        if value.numel() and _may_look_at(value):
            least = value.min().item()
            if not least >= 0:  # NaN, too
                raise ValueError(f"{score}: {name} must hold counts, got {least}")
    shapes, devices = [tuple(value.shape) for value in counts], [value.device for value in counts]
    if len(shapes[0]) != 2 or len(set(shapes)) > 1:
        raise ValueError(f"{score}: tp, fp, fn and tn must each have the shape (N, C), got {shapes}")
    if len(set(devices)) > 1:
        raise ValueError(f"{score}: tp, fp, fn and tn must be on one device, got {list(map(str, devices))}")


# The transforms of torch.func that are under way; None where there are none.
_transforms = getattr(torch._C._functorch, "peek_interpreter_stack", lambda: None)


def _may_look_at(value: Tensor) -> bool:
    """Whether values can be had at once: not of another device, which would be waited for, nor in a transform."""
    if torch.compiler.is_compiling() or _transforms() is not None:
        return False
    return value.device.type == "cpu"


def evaluate(ratio: Ratio, counts: Sequence[Tensor], how: How) -> Tensor:
    """The score of counts (N, C): a scalar, or (N, C) without a reduction.

    Raises:
        TypeError: see :func:`check_counts`.
        ValueError: see :func:`check_counts`; another number of weights than classes.
    """
    check_counts(counts, how.score)
    # Sums and products of counts in a narrow dtype overflow.
    counts = [count if count.is_floating_point() else count.long() for count in counts]
    if how.is_imagewise:
        return _mean(image_scores(ratio, counts, how), how)
    if how.reduction == "micro":
        return _defined(ratio, [count.sum() for count in counts], how)
    if how.reduction in ("macro", "weighted"):
        scores = _defined(ratio, [count.sum(0) for count in counts], how)
        return _mean_over_classes(scores, how)
    return _defined(ratio, list(counts), how)


def image_scores(ratio: Ratio, counts: Sequence[Tensor], how: How) -> Tensor:
    """(N,): what an imagewise reduction averages over images; NaN with "skip" where nothing of an image is defined."""
    if how.reduction == "micro-imagewise":
        return _defined(ratio, [count.sum(1) for count in counts], how)
    return _mean_over_classes(_defined(ratio, list(counts), how), how)


def _defined(ratio: Ratio, counts: list[Tensor], how: How) -> Tensor:
    scores = ratio(*counts)
    value = how.zero_division
    # SMP leaves NaN where counts are summed over images and classes.
    if value == "skip" or (how.smp_values and how.reduction == "micro"):
        return scores
    undefined = scores.isnan()
    if value == "warn" and bool(undefined.any()):
        warnings.warn(f"{how.score}: zero division; the score is taken for 0", UserWarning, stacklevel=4)
    return scores.masked_fill(undefined, 0.0 if value == "warn" else value)


def _mean_over_classes(scores: Tensor, how: How) -> Tensor:
    """(C,) or (N, C) -> scalar or (N,)."""
    classes = scores.shape[-1]
    weights = how.weights_for(classes, scores)
    if weights is None:
        return _mean(scores, how)
    if how.zero_division == "skip":
        # The weights of the defined classes add up to 1 again; where there is none, they and the mean are NaN.
        weights = weights * ~scores.isnan()
        weights = weights / weights.sum(-1, keepdim=True)
        scores = scores.masked_fill(~(weights > 0), 0.0)
    means = (scores * weights).sum(-1)
    # SMP divides by the number of classes too, though not where the reduction is "weighted".
    return means / classes if how.smp_values and how.reduction != "weighted" else means


def _mean(scores: Tensor, how: How) -> Tensor:
    return scores.nanmean(-1) if how.zero_division == "skip" else scores.mean(-1)
