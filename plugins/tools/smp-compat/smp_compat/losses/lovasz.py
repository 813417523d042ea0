"""LovaszLoss with SMP's signature and values."""

from __future__ import annotations

from torch import Tensor

import smp_losses
from smp_compat._not_provided import raises_for
from smp_compat.losses._labels import indices
from smp_compat.losses.constants import BINARY_MODE, MULTICLASS_MODE, MULTILABEL_MODE

__all__ = ["BINARY_MODE", "MULTICLASS_MODE", "MULTILABEL_MODE", "LovaszLoss"]


class LovaszLoss(smp_losses.LovaszLoss):
    """`smp_losses.LovaszLoss` with ``smp_values=True``."""

    def __init__(
        self,
        mode: str,
        per_image: bool = False,
        ignore_index: int | None = None,
        from_logits: bool = True,
    ) -> None:
        super().__init__(
            mode=mode,
            per_image=per_image,
            ignore_index=ignore_index,
            from_logits=from_logits,
            smp_values=True,
        )

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """See `smp_losses.LovaszLoss`; class indices may be floating-point numbers."""
        return super().forward(y_pred, indices(self.mode, y_true))


__getattr__ = raises_for(__name__)
