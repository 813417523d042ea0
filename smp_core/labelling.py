"""Class indices in place of scores, without a map of scores at full resolution where the head allows it.

The largest of bilinearly enlarged scores has to be found after enlarging them. But that can be done a few rows at a
time: what is kept of each is one index a pixel, and for 19 classes in float32 a tenth of the memory.
"""

from __future__ import annotations

import contextlib
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

# Of each output the largest stays the largest.
_KEEP_THE_ORDER = (nn.Identity, nn.Softmax, nn.LogSoftmax, nn.Sigmoid, nn.Tanh)
# Scores at a time; a strip of that many stays in a processor's cache.
_STRIP = 2**20

_wanted: ContextVar[bool] = ContextVar("labels_wanted", default=False)


@contextlib.contextmanager
def wanting_labels() -> Iterator[None]:
    """Within the block, a model of this thread may give labels in place of masks."""
    token = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(token)


def labels_of_head(model: nn.Module, decoded: Tensor) -> Tensor | None:
    """The labels of a decoder's output, (N, H, W), where they are wanted and the model's head is as it was built.

    None otherwise: then the masks have to be made.
    """
    head: Any = model.segmentation_head
    if not _wanted.get() or model._forward_hooks or not is_stock(head, SegmentationHead) or len(head) != 3:
        return None
    convolution, enlarging, last = head
    activation = bare(last)
    if not is_stock(enlarging, nn.UpsamplingBilinear2d) or type(activation) not in _KEEP_THE_ORDER:
        return None
    if not is_stock(activation, type(activation)):
        return None
    scores: Tensor = convolution(decoded)
    if scores.dim() != 4 or not scores.is_floating_point() or enlarging.scale_factor is None:
        return None
    threshold = _threshold(activation) if scores.shape[1] == 1 else 0.0
    factor = int(enlarging.scale_factor)
    return _labels_of_enlarged(scores, factor * scores.shape[2], factor * scores.shape[3], activation, threshold)


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


def _labels_of_enlarged(scores: Tensor, height: int, width: int, activation: nn.Module, threshold: float) -> Tensor:
    """Labels of (N, C, h, w) enlarged bilinearly, corners aligned, and activated: (N, height, width)."""
    batch, classes, rows, _ = scores.shape
    labels = scores.new_empty((batch, height, width), dtype=torch.int64)
    columns = _weights(scores.shape[3], width, scores)
    wide = scores.contiguous() @ columns.to(scores.dtype)
    above = _weights(rows, height, scores).t().to(scores.dtype)
    step = max(1, _STRIP // max(1, batch * classes * width))
    for start in range(0, height, step):
        stop = min(start + step, height)
        # The rows of the scores that these rows lie between, and one more for rounding.
        first = max(0, start * (rows - 1) // max(height - 1, 1) - 1)
        last = min(rows, (stop - 1) * (rows - 1) // max(height - 1, 1) + 3)
        strip = above[start:stop, first:last] @ wide[:, :, first:last]
        labels[:, start:stop] = _labels(strip if threshold == 0.0 else activation(strip), threshold)
    return labels


def _weights(length: int, resized: int, like: Tensor) -> Tensor:
    """What linear interpolation, corners aligned, multiplies a row by: (length, resized)."""
    unit = torch.eye(length, device=like.device, dtype=torch.float64).unsqueeze(0)
    return functional.interpolate(unit, size=[resized], mode="linear", align_corners=True).squeeze(0)
