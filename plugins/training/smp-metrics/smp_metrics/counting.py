"""How often each pair of labels occurs: the one count that every metric here is made of.

A pair of labels is one number, ``target * classes + prediction``, and numbers are counted by a single
``torch.bincount`` over the whole batch: no one-hot maps, no loop over images. The numbers are int32 wherever they fit,
because passing over the pixels, not arithmetic, is what takes the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Pairs have their own bins as long as there are fewer bins than this or than pixels; beyond, labels are counted.
_FEW_BINS = 1 << 20

_COUNTABLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True)
class Rows:
    """Labels in rows that are counted apart: one image each, or one map of an image each.

    Attributes:
        prediction: (R, P), integers within the classes where not ignored.
        target: (R, P), integers within the classes where not ignored.
        ignored: (R, P) bool, True where the pixel does not count; None: all count.
        classes: the number of classes.
    """

    prediction: Tensor
    target: Tensor
    ignored: Tensor | None
    classes: int


def rows_of(prediction: Tensor, target: Tensor, classes: int, ignore_index: int | None, where: str) -> Rows:
    """Check labels, two tensors (R, P) of integers or bools, and find those to ignore.

    Labels are data, so looking at them makes a GPU's caller wait; counting does so anyway. Predictions of ignored
    pixels may be anything.

    Raises:
        ValueError: a label beyond the classes; the message begins with ``where``.
    """
    target, prediction = _countable(target), _countable(prediction)
    if target.numel() == 0:
        return Rows(prediction, target, None, classes)
    low, high = _extremes(target)
    ignored = None
    if ignore_index is not None and low <= ignore_index <= high:
        ignored = target == ignore_index
    expected = f"integers from 0 to {classes - 1}"
    if low < 0 or high >= classes:
        if ignored is not None:
            if target.dtype == torch.int64 and _fits_int32(low) and _fits_int32(high):
                target = target.int()
            target = target.masked_fill(ignored, 0)
            low, high = _extremes(target)
        if low < 0 or high >= classes:
            others = "" if ignore_index is None else f", or {ignore_index} for what is ignored"
            raise ValueError(f"{where}: target must hold {expected}{others}; got values from {low} to {high}")
    low, high = _extremes(prediction)
    if low < 0 or high >= classes:
        if ignored is not None:
            prediction = prediction.masked_fill(ignored, 0)
            low, high = _extremes(prediction)
        if low < 0 or high >= classes:
            raise ValueError(f"{where}: the prediction must hold {expected}; got values from {low} to {high}")
    return Rows(prediction, target, ignored, classes)


def count_pairs(rows: Rows) -> Tensor:
    """(R, C, C) int64: per row the pixels of target i (first class axis) that are predicted as j (second)."""
    number, classes = rows.target.shape[0], rows.classes
    bins = number * classes * classes
    dtype = _key_dtype(bins)
    # A copy in any case: the key is made in place, and the labels are the caller's.
    key = rows.target.to(dtype, copy=True)
    key *= classes
    key += _offsets(number, classes * classes, key)
    key += rows.prediction.to(dtype)
    return _bincount(key, rows.ignored, bins).view(number, classes, classes)


def count_stats(rows: Rows) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Per row and class, each (R, C) int64: pixels rightly predicted, predicted, labelled; and (R, 1): all pixels."""
    number, pixels = rows.target.shape
    if number * rows.classes**2 <= max(_FEW_BINS, number * pixels):
        pairs = count_pairs(rows)
        right = pairs.diagonal(dim1=1, dim2=2).contiguous()
        predicted, labelled = pairs.sum(1), pairs.sum(2)
    else:
        right, predicted, labelled = _count_each(rows)
    return right, predicted, labelled, labelled.sum(1, keepdim=True)


def _count_each(rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
    """The same three counts without a bin for each pair; three passes, but memory in proportion to the classes."""
    number, bins = rows.target.shape[0], rows.target.shape[0] * rows.classes
    dtype = _key_dtype(bins)
    target, prediction = rows.target.to(dtype, copy=True), rows.prediction.to(dtype, copy=True)
    offsets = _offsets(number, rows.classes, target)
    target += offsets
    prediction += offsets
    wrong = target != prediction
    if rows.ignored is not None:
        wrong |= rows.ignored
    predicted = _bincount(prediction, rows.ignored, bins)
    right = _bincount(prediction, wrong, bins)
    labelled = _bincount(target, rows.ignored, bins)
    return right.view(number, -1), predicted.view(number, -1), labelled.view(number, -1)


def _bincount(key: Tensor, left_out: Tensor | None, bins: int) -> Tensor:
    """(bins,) int64. Overwrites the key where something is left out: such pixels go to one more bin."""
    if left_out is not None:
        key.masked_fill_(left_out, bins)
    return torch.bincount(key.view(-1), minlength=bins + 1)[:bins]


def _offsets(number: int, step: int, like: Tensor) -> Tensor:
    """(R, 1): where the bins of each row begin."""
    return (torch.arange(number, device=like.device, dtype=like.dtype) * step).view(-1, 1)


def _key_dtype(bins: int) -> torch.dtype:
    return torch.int32 if _fits_int32(bins) else torch.int64


def _fits_int32(number: int) -> bool:
    return -(1 << 31) <= number < 1 << 31


def _countable(labels: Tensor) -> Tensor:
    if labels.dtype == torch.bool:
        return labels.view(torch.uint8)
    # The wider unsigned dtypes are hardly more than names in torch.
    return labels if labels.dtype in _COUNTABLE else labels.long()


def _extremes(labels: Tensor) -> tuple[int, int]:
    low, high = torch.aminmax(labels)
    return int(low), int(high)
