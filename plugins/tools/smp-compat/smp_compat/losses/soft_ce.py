"""SoftCrossEntropyLoss with SMP's signature and values."""

from __future__ import annotations

import smp_losses
from smp_compat.losses._functional import label_smoothed_nll_loss

__all__ = ["SoftCrossEntropyLoss", "label_smoothed_nll_loss"]


class SoftCrossEntropyLoss(smp_losses.SoftCrossEntropyLoss):
    """`smp_losses.SoftCrossEntropyLoss` with ``smp_values=True``."""

    def __init__(
        self,
        reduction: str = "mean",
        smooth_factor: float | None = None,
        ignore_index: int | None = -100,
        dim: int = 1,
    ) -> None:
        super().__init__(
            reduction=reduction,
            smooth_factor=smooth_factor,
            ignore_index=ignore_index,
            dim=dim,
            smp_values=True,
        )
