"""SoftBCEWithLogitsLoss with SMP's signature and values."""

from __future__ import annotations

from torch import Tensor

import smp_losses

__all__ = ["SoftBCEWithLogitsLoss"]


class SoftBCEWithLogitsLoss(smp_losses.SoftBCEWithLogitsLoss):
    """`smp_losses.SoftBCEWithLogitsLoss` with ``smp_values=True``."""

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int | None = -100,
        reduction: str = "mean",
        smooth_factor: float | None = None,
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            smooth_factor=smooth_factor,
            pos_weight=pos_weight,
            smp_values=True,
        )
