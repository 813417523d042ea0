"""Labels as SMP's losses take them."""

from __future__ import annotations

from torch import Tensor


def indices(mode: str, y_true: Tensor) -> Tensor:
    """Class indices that are stored as floating-point numbers, as int64; everything else as it is."""
    if mode == "multiclass" and isinstance(y_true, Tensor) and y_true.is_floating_point():
        whole = y_true.long()
        if whole.eq(y_true).all():
            return whole
    return y_true
