"""Class indices in place of scores, without a map of scores at full resolution where the head allows it.

The largest of bilinearly enlarged scores has to be found after enlarging them. But that can be done a few rows at a
time: what is kept of each is one index a pixel, and for 19 classes in float32 a tenth of the memory.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.errors import OptionError
from smp_core.heads import SegmentationHead
from smp_core.layers import is_stock
from smp_core.layers.activation import bare
from smp_core.layers.recording import may_fuse

# Of each output the largest stays the largest.
_KEEP_THE_ORDER = (nn.Identity, nn.Softmax, nn.LogSoftmax, nn.Sigmoid, nn.Tanh)
_BILINEAR = {"mode": "bilinear", "align_corners": True}
# What calling a head and its enlargement runs, which somebody may have exchanged for all.
_CALLS = (nn.Sequential, nn.Upsample)
_ORIGINAL = [kind.forward for kind in _CALLS]
# Scores at a time; a strip of that many stays in a processor's cache.
_STRIP = 2**20

_wanted: ContextVar[nn.Module | None] = ContextVar("labels_wanted", default=None)


@contextlib.contextmanager
def wanting_labels(model: nn.Module, results: object) -> Iterator[None]:
    """Within the block, this model may in this thread give labels in place of masks; no model within it does.

    Args:
        model: a `smp_core.SegmentationModel`.
        results: `SegmentationModel._results`, which gives them.
    """
    token = _wanted.set(model if _returns(model, results) else None)
    try:
        yield
    finally:
        _wanted.reset(token)


def _returns(model: Any, results: object) -> bool:
    """Whether calling a model returns what its template's results are, and nobody does anything with them before."""
    kind = type(model)
    if (
        kind._results is not results
        or kind.forward is not kind._ends_in_results
        or kind.__call__ is not kind._calls_forward
    ):
        return False
    return not model._forward_hooks and not {"forward", "_results"} & model.__dict__.keys()


def labels_of_head(model: nn.Module, decoded: Tensor) -> Tensor | None:
    """The labels of a decoder's output, (N, H, W), where they are wanted and the model's head is as it was built.

    None otherwise: then the masks have to be made.
    """
    head: Any = model.segmentation_head
    if _wanted.get() is not model or not is_stock(head, SegmentationHead) or len(head) != 3:
        return None
    convolution, enlarging, last = head
    activation: Any = bare(last)
    if not is_stock(enlarging, nn.UpsamplingBilinear2d, _BILINEAR) or type(activation) not in _KEEP_THE_ORDER:
        return None
    if not is_stock(activation, type(activation)) or getattr(activation, "dim", 1) != 1:
        return None
    if not isinstance(decoded, Tensor) or decoded.numel() == 0:
        return None
    if not may_fuse(decoded) or [kind.forward for kind in _CALLS] != _ORIGINAL:
        return None
    scores: Tensor = convolution(decoded)
    if scores.dim() != 4 or not scores.is_floating_point():
        return None
    threshold = _threshold(activation) if scores.shape[1] == 1 else 0.0
    height, width = (_enlarged(enlarging, scores.shape[axis], axis - 2) for axis in (2, 3))
    return _labels_of_enlarged(scores, height, width, activation, threshold)


def labels_of_masks(model: nn.Module, masks: Any) -> Tensor:
    """The labels of masks: (N, C, H, W) -> (N, H, W), int64; labels as they are.

    Raises:
        OptionError: no tensor; or one class whose activation leaves open from where on a pixel belongs to it.
    """
    if not isinstance(masks, Tensor):
        raise OptionError(
            f"predict(labels=True): expected masks as one tensor, but the model's head gives {type(masks).__name__}; "
            "call predict without labels, and take what you need of it"
        )
    if not masks.is_floating_point():
        return masks
    activation = list(model.segmentation_head.children())[-1:] if isinstance(model.segmentation_head, nn.Module) else []
    return _labels(masks, _threshold(activation[0] if activation else None) if masks.shape[1] == 1 else 0.0)


def _threshold(activation: nn.Module | None) -> float:
    """From which value on a pixel belongs to the only class."""
    activation = activation if activation is None else bare(activation)
    if type(activation) is nn.Identity or type(activation) is nn.Tanh:
        return 0.0
    if type(activation) is nn.Sigmoid:
        return 0.5
    raise OptionError(
        "predict(labels=True): of one class it must be known from which score on a pixel belongs to it, which is 0 "
        f"without an activation and 0.5 with 'sigmoid'; this model's is {type(activation).__name__}: compare "
        "predict(x) with your own"
    )


def _labels(scores: Tensor, threshold: float) -> Tensor:
    if scores.shape[1] == 1:
        return (scores[:, 0] > threshold).long()
    return scores.argmax(dim=1)


def _enlarged(enlarging: Any, length: int, axis: int) -> int:
    """Rows (axis 0) or columns (1) that a layer makes of so many."""
    given = enlarging.scale_factor if enlarging.size is None else enlarging.size
    number = given[axis] if isinstance(given, (tuple, list)) else given
    return int(number) if enlarging.size is not None else math.floor(length * number)


def _labels_of_enlarged(scores: Tensor, height: int, width: int, activation: nn.Module, threshold: float) -> Tensor:
    """Labels of (N, C, h, w) enlarged bilinearly, corners aligned, and activated: (N, height, width).

    Only the two pixels of an axis between which a result lies are multiplied: what is not finite stays where it is, and
    the cost is linear in height and width.
    """
    batch, classes, rows, columns = scores.shape
    labels = scores.new_empty((batch, height, width), dtype=torch.int64)
    # As interpolation does: sums in float32 or better, and a result in what autocast may say.
    dtype = functional.interpolate(scores[:1, :1, :1, :1], size=[1, 1], mode="bilinear", align_corners=True).dtype
    precise = scores.to(torch.float64 if scores.dtype == torch.float64 else torch.float32).contiguous()
    across, down = _taps(columns, width, precise), _taps(rows, height, precise)
    above, below = down[0].tolist(), down[1].tolist()
    across, down = [item.to(scores.device) for item in across], [item.to(scores.device) for item in down]
    # The rows between two of the scores at once, as each strip widens the rows that it lies between anew.
    step = max(1, height // rows, _STRIP // (batch * classes * width))
    for start in range(0, height, step):
        stop = min(start + step, height)
        first = above[start]
        wide = _between(precise[:, :, first : below[stop - 1] + 1], 3, *across)
        upper, lower, share = (item[start:stop] for item in down)
        strip = _between(wide, 2, upper - first, lower - first, share.unsqueeze(1)).to(dtype)
        labels[:, start:stop] = _labels(strip if threshold == 0.0 else activation(strip), threshold)
    return labels


def _between(x: Tensor, axis: int, first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Between the first and the second of an axis, with this share of the second."""
    return x.index_select(axis, first).mul_(1 - share).addcmul_(x.index_select(axis, second), share)


def _taps(length: int, resized: int, like: Tensor) -> list[Tensor]:
    """Between which two of a length each result of linear interpolation lies, corners aligned, and how far: (resized,).

    Computed as torch's own interpolation does, rounding included; on the CPU.
    """
    scale = torch.tensor(length - 1 if resized > 1 else 0, dtype=like.dtype) / max(resized - 1, 1)
    places = torch.arange(resized, dtype=like.dtype) * scale
    first = places.long().clamp_(max=length - 1)
    return [first, (first + 1).clamp_(max=length - 1), (places - first).clamp_(0, 1)]
