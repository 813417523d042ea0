"""What every loss does to its two tensors first: check them, bring them to one shape and to a safe dtype.

Shapes, dtypes and devices are known without looking at the data and are always checked. Label values are data: looking
at them waits for the device. They are therefore checked where that costs microseconds, on the CPU outside of a
compiled graph; see :func:`set_label_checks`. Elsewhere a class index beyond the classes still cannot pass silently:
torch's gather stops on it with a device-side assertion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

# The wider unsigned dtypes are hardly more than names in torch.
_WIDENED = (torch.uint16, torch.uint32, torch.uint64)

# The transforms of torch.func that are under way; None where there are none.
_transforms = getattr(torch._C._functorch, "peek_interpreter_stack", lambda: None)

LabelChecks = Literal["cpu", "always", "never"]

_label_checks: str = "cpu"


def set_label_checks(where: LabelChecks) -> None:
    """Say where label values are compared with their range; the setting is global.

    Args:
        where: ``"cpu"`` (default) checks tensors on the CPU; ``"always"`` checks on every device, which makes each
            call wait for the device, as is useful while looking for a fault; ``"never"`` checks nowhere. A compiled
            graph never checks: it would break in two.

    Raises:
        ValueError: ``where`` is something else.
    """
    global _label_checks
    if where not in get_args(LabelChecks):
        raise ValueError(f"label checks can be made on 'cpu', 'always' or 'never', got {where!r}")
    _label_checks = where


@dataclass(frozen=True)
class Flat:
    """A prediction and its target, with all spatial axes made one.

    Attributes:
        pred: (N, C, P), float32 or float64. 0 where ignored: nothing there counts, NaN and infinities included. As it
            came, where `flatten` was asked for that.
        target: multiclass: (N, P) int64, a class index; otherwise (N, C, P) in pred's dtype. 0 where ignored.
        valid: bool, of the target's shape, False where ignored; None: all count.
    """

    pred: Tensor
    target: Tensor
    valid: Tensor | None

    @property
    def classes(self) -> int:
        """C, the number of channels."""
        return self.pred.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """In which sums are taken."""
        return torch.float64 if self.pred.dtype == torch.float64 else torch.float32


def flatten(
    mode: str,
    y_pred: Tensor,
    y_true: Tensor,
    ignore_index: int | None,
    loss: str,
    *,
    any_value: bool = False,
    keeps: bool = False,
) -> Flat:
    """Check a prediction and its target, and bring both to the shapes of :class:`Flat`.

    Half precision and bfloat16 become float32 here: sums over a map overflow float16 at 65504 and bfloat16 counts no
    further than 256.

    Args:
        mode: of the loss, for which both are.
        y_pred, y_true: as the loss is called.
        ignore_index: label of pixels that do not count.
        loss: its name, for errors.
        any_value: do not ask binary and multilabel targets to lie within 0 and 1, as SMP's losses do not.
        keeps: leave a multiclass prediction as it came, in dtype and where ignored: for who reads it once.

    Raises:
        TypeError: no tensors, or dtypes that make no sense.
        ValueError: shapes or devices that do not fit, labels out of range.
    """
    where = f"{loss} ({mode})"
    _check_tensors(y_pred, y_true, where)
    if y_true.dtype in _WIDENED:
        y_true = y_true.long()
    keeps = keeps and mode == "multiclass"
    pred = y_pred.float() if y_pred.dtype in (torch.float16, torch.bfloat16) and not keeps else y_pred
    if mode == "multiclass":
        return _flatten_indices(pred, y_true, ignore_index, where, keeps)
    _check_maps(mode, y_pred, y_true, where)
    n = pred.shape[0]
    channels = 1 if mode == "binary" else pred.shape[1]
    # Written out: reshape cannot infer the length of an axis of an empty batch.
    pixels = math.prod(pred.shape[1 if mode == "binary" else 2 :])
    target = y_true.reshape(n, channels, pixels)
    valid = _valid(target, ignore_index)
    pred = pred.reshape(n, channels, pixels)
    if valid is not None:
        target, pred = target.masked_fill(~valid, 0), pred.masked_fill(~valid, 0)
    if not any_value and _may_look_at(target):
        _check_range(target, 1, f"{where}: y_true must lie within 0 and 1", ignore_index)
    return Flat(pred, target.to(pred.dtype), valid)


def wants_plain_form() -> bool:
    """Whether somebody works on the formula itself: a compiler, or a transform of `torch.func`.

    Both see through operations of torch, and neither into a gradient in closed form nor at the values of labels.
    """
    return torch.compiler.is_compiling() or _transforms() is not None


def _valid(target: Tensor, ignore_index: int | None) -> Tensor | None:
    """Where labels count; None: everywhere, as nothing can be ignored: an unsigned label is never -1."""
    if ignore_index is None or target.dtype == torch.bool:
        return None
    if not target.is_floating_point():
        limits = torch.iinfo(target.dtype)
        if not limits.min <= ignore_index <= limits.max:
            return None
    return target != ignore_index


def known_hard(y_true: Tensor, target: Tensor) -> bool:
    """Whether all labels are known to be 0 or 1: by their dtype, or by a look where that is free.

    Args:
        y_true: the labels as they came.
        target: the same in :class:`Flat`.
    """
    if not y_true.is_floating_point():
        return True
    if wants_plain_form() or target.device.type != "cpu":
        return False
    return bool(((target == 0) | (target == 1)).all())


def _flatten_indices(pred: Tensor, y_true: Tensor, ignore_index: int | None, where: str, keeps: bool) -> Flat:
    shape = tuple(pred.shape)
    if pred.ndim < 2:
        raise ValueError(f"{where}: y_pred must have shape (N, C, ...), got {shape}")
    n, classes = shape[:2]
    if tuple(y_true.shape) not in ((n, *shape[2:]), (n, 1, *shape[2:])):
        raise ValueError(
            f"{where}: y_true must have shape {(n, *shape[2:])} or {(n, 1, *shape[2:])} for y_pred of shape {shape}, "
            f"got {tuple(y_true.shape)}"
        )
    if y_true.is_floating_point() or y_true.dtype == torch.bool:
        raise TypeError(f"{where}: y_true must hold class indices in an integer dtype, got {y_true.dtype}")
    pixels = math.prod(shape[2:])
    target, pred = y_true.reshape(n, pixels).long(), pred.reshape(n, classes, pixels)
    valid = _valid(target, ignore_index)
    if valid is not None:
        target = target.masked_fill(~valid, 0)
        pred = pred if keeps else pred.masked_fill(~valid.unsqueeze(1), 0)
    if _may_look_at(target):
        expected = f"{where}: labels of {classes} classes must be integers from 0 to {classes - 1}"
        _check_range(target, classes - 1, expected, ignore_index)
    return Flat(pred, target, valid)


def _check_tensors(y_pred: Tensor, y_true: Tensor, where: str) -> None:
    for name, value in (("y_pred", y_pred), ("y_true", y_true)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{where}: {name} must be a tensor, got {type(value).__name__}")
        if value.ndim == 0:
            raise ValueError(f"{where}: {name} must have a batch axis, got a tensor without any axis")
        if value.is_complex():
            raise TypeError(f"{where}: {name} must be real, got {value.dtype}")
        _check_dense(value, name, where)
    if not y_pred.is_floating_point():
        raise TypeError(f"{where}: y_pred must be floating point, got {y_pred.dtype}")
    if y_pred.device != y_true.device:
        raise ValueError(f"{where}: y_pred is on {y_pred.device}, but y_true is on {y_true.device}")


def _check_dense(value: Tensor, name: str, where: str) -> None:
    kind = "nested" if value.is_nested else None
    if kind is None and value.layout is not torch.strided:
        kind = str(value.layout)
    if kind is None and (value.is_quantized or (value.is_floating_point() and value.element_size() == 1)):
        kind = str(value.dtype)
    if kind is not None:
        raise TypeError(f"{where}: {name} must be a dense tensor in a dtype to compute with; it is {kind}")


def _check_maps(mode: str, y_pred: Tensor, y_true: Tensor, where: str) -> None:
    """Of binary and multilabel targets: as the prediction; for binary the channel may be missing on either side."""
    pred, target = tuple(y_pred.shape), tuple(y_true.shape)
    fitting = [pred]
    if mode == "multilabel":
        if len(pred) < 2:
            raise ValueError(f"{where}: y_pred must have shape (N, C, ...), got {pred}")
    elif len(pred) > 1 and pred[1] == 1:
        fitting.append((pred[0], *pred[2:]))
    else:
        fitting.append((pred[0], 1, *pred[1:]))
    if target not in fitting:
        wanted = " or ".join(map(str, fitting))
        hint = ""
        if mode == "binary" and len(pred) == len(target) + 1 and pred[1] != 1:
            hint = f"; {pred[1]} channels of scores for one map of labels are for the mode 'multiclass'"
        raise ValueError(f"{where}: y_true must have shape {wanted} for y_pred of shape {pred}, got {target}{hint}")


def _may_look_at(target: Tensor) -> bool:
    if wants_plain_form() or _label_checks == "never" or target.numel() == 0:
        return False
    return target.device.type == "cpu" or (_label_checks == "always" and target.device.type != "meta")


def _check_range(target: Tensor, highest: int, expected: str, ignore_index: int | None) -> None:
    if target.dtype == torch.bool:
        return
    low, high = (value.item() for value in torch.aminmax(target))
    # Written so that a NaN is out of range too.
    if not (low >= 0 and high <= highest):
        ignored = "" if ignore_index is None else f", or {ignore_index} for what is ignored"
        raise ValueError(f"{expected}{ignored}; got values from {low} to {high}")
