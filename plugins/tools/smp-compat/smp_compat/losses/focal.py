"""FocalLoss with SMP's signature and values."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

import smp_losses
from smp_compat.losses._functional import focal_loss_with_logits, to_tensor
from smp_compat.losses._labels import indices
from smp_compat.losses.constants import BINARY_MODE, MULTICLASS_MODE, MULTILABEL_MODE

__all__ = ["BINARY_MODE", "MULTICLASS_MODE", "MULTILABEL_MODE", "FocalLoss", "focal_loss_with_logits", "to_tensor"]


class FocalLoss(smp_losses.FocalLoss):
    """`smp_losses.FocalLoss` with ``smp_values=True``."""

    def __init__(
        self,
        mode: str,
        alpha: float | None = None,
        gamma: float | None = 2.0,
        ignore_index: int | None = None,
        from_logits: bool = True,
        eps: float = 1e-7,
        reduction: str | None = "mean",
        normalized: bool = False,
        reduced_threshold: float | None = None,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            mode=mode,
            alpha=alpha,
            gamma=gamma,
            ignore_index=ignore_index,
            from_logits=from_logits,
            eps=eps,
            reduction=reduction,
            normalized=normalized,
            reduced_threshold=reduced_threshold,
            class_weights=class_weights,
            smp_values=True,
        )

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """See `smp_losses.FocalLoss`; class indices may be floating-point numbers."""
        return super().forward(y_pred, indices(self.mode, y_true))
