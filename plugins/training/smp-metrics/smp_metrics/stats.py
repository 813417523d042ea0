"""From labels to true and false positives and negatives per image and class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from smp_metrics.counting import Rows, count_pairs, count_stats, rows_of

# Counts of so many take half a gigabyte an image.
_MOST_CLASSES = 1 << 24

Mode = Literal["binary", "multilabel", "multiclass"]

Stats = tuple[Tensor, Tensor, Tensor, Tensor]


def get_stats(
    output: Tensor,
    target: Tensor,
    mode: Mode,
    ignore_index: int | None = None,
    threshold: float | Sequence[float] | None = None,
    num_classes: int | None = None,
    *,
    smp_values: bool = False,
) -> Stats:
    """Count true positive, false positive, false negative and true negative pixels per image and class.

    Where it differs from segmentation_models_pytorch (SMP) 0.6.0: SMP compares the labels with the threshold too, so
    that with a threshold of 0, the natural one of logits, every pixel counts as labelled positive, and with one above 1
    none; ``smp_values=True`` does the same. A label or prediction beyond the classes is an error; SMP counts it in odd
    ways. A binary mask (N, H, W) is one map; SMP takes H for the classes. SMP has neither ``ignore_index`` in the modes
    binary and multilabel nor, in spite of its documentation, a list of thresholds.

    Args:
        output: the prediction. Binary: (N, 1, ...) or (N, H, W); multilabel: (N, C, ...); both either 0 and 1 in an
            integer dtype or bool, or floating point with a ``threshold``. Multiclass: (N, ...), class indices from 0
            to num_classes - 1 in an integer dtype. ... is any number of spatial axes.
        target: the labels, in the shape of ``output``, integer or bool: 0 and 1, or class indices if multiclass.
        mode: ``"binary"``, ``"multilabel"`` or ``"multiclass"``.
        ignore_index: pixels with this label count nowhere, whatever is predicted for them. It must not be the label
            of a class; 255 and -1 are usual.
        threshold: binary and multilabel: a pixel is predicted positive where ``output >= threshold``. One number, or
            one per class.
        num_classes: multiclass: the number of classes C. Other modes do not use it.
        smp_values: True counts labels as SMP does: positive where not below the threshold.

    Returns:
        ``tp, fp, fn, tn``, each (N, C) int64 on the device of the input; C is 1 if binary.

    Raises:
        TypeError: dtypes that make no sense, or no tensors.
        ValueError: a mode, shapes, devices, labels or thresholds that do not fit; an ``output`` that is NaN where it
            counts; ``smp_values`` with a threshold and an ``ignore_index``, which SMP does not take.

    Example:
        >>> output = torch.tensor([[[0, 1], [2, 2]]])
        >>> target = torch.tensor([[[0, 1], [1, 255]]])
        >>> tp, fp, fn, tn = get_stats(output, target, "multiclass", ignore_index=255, num_classes=3)
        >>> tp, fn
        (tensor([[1, 1, 0]]), tensor([[0, 1, 0]]))
    """
    if mode not in get_args(Mode):
        raise ValueError(f"get_stats: mode must be 'binary', 'multilabel' or 'multiclass', got {mode!r}")
    where = f"get_stats ({mode})"
    check_labels(output, target, where)
    if mode == "multiclass":
        if threshold is not None:
            raise ValueError(f"{where}: threshold={threshold!r} has no meaning for class indices; leave it out")
        if num_classes is None:
            raise ValueError(f"{where}: num_classes is needed, as not every class need occur in a batch")
        rows = index_rows(output, target, num_classes, ignore_index, where)
        right, predicted, labelled, total = count_stats(rows)
        return right, predicted - right, labelled - right, total - predicted - labelled + right
    output, target = _with_channels(output, target, mode, where)
    if output.is_floating_point() and threshold is not None:
        check_no_nan(output.isnan(), target, ignore_index, where)
    if smp_values and threshold is not None:
        _refuse_ignoring(ignore_index, where)
        target = _positive(target, threshold, where)
    rows = _map_rows(_positive(output, threshold, where), target, ignore_index, where)
    # Of each map a confusion matrix of two classes.
    pairs = count_pairs(rows).view(*output.shape[:2], 2, 2)
    tn, fp, fn, tp = (pairs[..., i, j].contiguous() for i in (0, 1) for j in (0, 1))
    return tp, fp, fn, tn


def index_rows(output: Tensor, target: Tensor, num_classes: int, ignore_index: int | None, where: str) -> Rows:
    """Checked class indices, (N, ...) each, one row an image.

    Raises:
        TypeError: the prediction is floating point.
        ValueError: a number of classes, a label to ignore or labels that do not fit.
    """
    check_num_classes(num_classes, where)
    if num_classes > _MOST_CLASSES:
        raise ValueError(f"{where}: num_classes must be at most {_MOST_CLASSES}, got {num_classes}")
    if output.is_floating_point():
        raise TypeError(
            f"{where}: the prediction must hold class indices in an integer dtype, got {output.dtype}; "
            f"of scores (N, C, ...) take output.argmax(dim=1)"
        )
    check_ignore_index(ignore_index, num_classes, where)
    shape = (output.shape[0], math.prod(output.shape[1:]))
    return rows_of(output.reshape(shape), target.reshape(shape), num_classes, ignore_index, where)


def check_num_classes(num_classes: object, where: str) -> None:
    """Raise ValueError unless it is an int of at least 1."""
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 1:
        raise ValueError(f"{where}: num_classes must be an int of at least 1, got {num_classes!r}")


def check_no_nan(is_nan: Tensor, target: Tensor, ignore_index: int | None, where: str) -> None:
    """Raise ValueError if there is NaN where labels count; both (N, ...) of one shape."""
    if ignore_index is not None:
        is_nan = is_nan & (target.long() != ignore_index)
    if bool(is_nan.any()):
        raise ValueError(f"{where}: the prediction is NaN at {int(is_nan.sum())} places that count")


def check_ignore_index(ignore_index: int | None, num_classes: int, where: str) -> None:
    """Raise ValueError if the label to ignore is that of a class."""
    if ignore_index is not None and 0 <= ignore_index < num_classes:
        raise ValueError(
            f"{where}: ignore_index must lie outside of the classes 0 to {num_classes - 1}, got {ignore_index}; "
            f"to leave a class out of an average, give it the weight 0 with reduction='weighted'"
        )


def check_dense(value: Tensor, name: str, where: str) -> None:
    """Raise TypeError unless a tensor holds its values one by one, in a dtype that can be computed with."""
    kind = "nested" if value.is_nested else None
    if kind is None and value.layout is not torch.strided:
        kind = str(value.layout)
    if kind is None and (value.is_quantized or (value.is_floating_point() and value.element_size() == 1)):
        kind = str(value.dtype)
    if kind is not None:
        raise TypeError(f"{where}: {name} must be a dense tensor in a dtype to compute with; it is {kind}")


def check_labels(output: Tensor, target: Tensor, where: str) -> None:
    """Raise unless both are real tensors with an axis of images, one shape and one device, and the target integer.

    Raises:
        TypeError: no tensors, complex numbers, or a target in floating point.
        ValueError: no axis, other shapes or devices.
    """
    for name, value in (("output", output), ("target", target)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{where}: {name} must be a tensor, got {type(value).__name__}")
        if value.is_complex():
            raise TypeError(f"{where}: {name} must be real, got {value.dtype}")
        check_dense(value, name, where)
        if value.ndim == 0:
            raise ValueError(f"{where}: {name} must have an axis of images, got a tensor without any axis")
    if target.is_floating_point():
        raise TypeError(f"{where}: target must have an integer dtype or bool, got {target.dtype}")
    if output.shape != target.shape:
        raise ValueError(
            f"{where}: output and target must have one shape, got {tuple(output.shape)} and {tuple(target.shape)}"
        )
    if output.device != target.device:
        raise ValueError(f"{where}: output is on {output.device}, but target is on {target.device}")
    if output.is_meta:
        raise TypeError(f"{where}: output and target must have values to count; they are on the meta device")


def _with_channels(output: Tensor, target: Tensor, mode: str, where: str) -> tuple[Tensor, Tensor]:
    """Both as (N, C, ...)."""
    shape = tuple(output.shape)
    if mode == "binary" and len(shape) == 3:
        return output.unsqueeze(1), target.unsqueeze(1)
    if mode == "binary" and (len(shape) < 2 or shape[1] != 1):
        raise ValueError(
            f"{where}: output must have shape (N, 1, ...) or (N, H, W), got {shape}; "
            f"unsqueeze(1) adds the axis of channels, and several channels are for the mode 'multilabel'"
        )
    if len(shape) < 2:
        raise ValueError(f"{where}: output must have shape (N, C, ...), got {shape}")
    return output, target


def _map_rows(output: Tensor, target: Tensor, ignore_index: int | None, where: str) -> Rows:
    """Checked maps (N, C, ...) of 0 and 1, one row a map."""
    check_ignore_index(ignore_index, 2, where)
    shape = (output.shape[0] * output.shape[1], math.prod(output.shape[2:]))
    return rows_of(output.reshape(shape), target.reshape(shape), 2, ignore_index, where)


def _refuse_ignoring(ignore_index: int | None, where: str) -> None:
    if ignore_index is not None:
        raise ValueError(f"{where}: SMP ignores no label in this mode; leave out smp_values or ignore_index")


def _positive(output: Tensor, threshold: float | Sequence[float] | None, where: str) -> Tensor:
    """(N, C, ...): 0 and 1 as they came, or bool by threshold."""
    if threshold is None:
        if output.is_floating_point():
            raise TypeError(
                f"{where}: output must hold 0 and 1 in an integer dtype or bool, got {output.dtype}; "
                f"scores need a threshold, such as threshold=0.5 for probabilities"
            )
        return output
    if isinstance(threshold, (int, float)):
        return output >= threshold
    limits = torch.as_tensor(threshold, device=output.device)
    limits = limits.to(output.dtype if output.is_floating_point() else torch.get_default_dtype())
    channels = output.shape[1]
    if tuple(limits.shape) != (channels,):
        raise ValueError(
            f"{where}: threshold must be one number, or {channels} in a list, one per class, got {limits.tolist()}"
        )
    return output >= limits.view(1, channels, *[1] * (output.ndim - 2))
