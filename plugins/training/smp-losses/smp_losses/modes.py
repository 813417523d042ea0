"""The three kinds of segmentation that a loss can be told of, and the reductions."""

from __future__ import annotations

from typing import Literal, get_args

BINARY_MODE = "binary"
MULTICLASS_MODE = "multiclass"
MULTILABEL_MODE = "multilabel"

Mode = Literal["binary", "multiclass", "multilabel"]
Reduction = Literal["mean", "sum", "none"]


def check_mode(mode: str, loss: str) -> None:
    """Raise ValueError unless ``mode`` is one of the three."""
    if mode not in get_args(Mode):
        raise ValueError(f"{loss}: mode must be 'binary', 'multiclass' or 'multilabel', got {mode!r}")


def check_reduction(reduction: str, loss: str, more: tuple[str, ...] = ()) -> None:
    """Raise ValueError unless ``reduction`` is one that the loss knows."""
    known = (*get_args(Reduction), *more)
    if reduction not in known:
        raise ValueError(f"{loss}: reduction must be one of {', '.join(map(repr, known))}, got {reduction!r}")
