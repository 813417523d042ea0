"""DiceLoss with SMP's signature and values."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

import smp_losses
from smp_compat.losses._by_methods import ByMethods
from smp_compat.losses._functional import soft_dice_score, to_tensor
from smp_compat.losses.constants import BINARY_MODE, MULTICLASS_MODE, MULTILABEL_MODE

__all__ = ["BINARY_MODE", "MULTICLASS_MODE", "MULTILABEL_MODE", "DiceLoss", "soft_dice_score", "to_tensor"]


class DiceLoss(ByMethods, smp_losses.DiceLoss):
    """`smp_losses.DiceLoss` with ``smp_values=True``; ``compute_score`` and ``aggregate_loss`` may be overridden."""

    def __init__(
        self,
        mode: str,
        classes: Sequence[int] | None = None,
        log_loss: bool = False,
        from_logits: bool = True,
        smooth: float = 0.0,
        ignore_index: int | None = None,
        eps: float = 1e-7,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            mode=mode,
            classes=classes,
            log_loss=log_loss,
            from_logits=from_logits,
            smooth=smooth,
            ignore_index=ignore_index,
            eps=eps,
            class_weights=class_weights,
            smp_values=True,
        )

    def published_score(
        self, output: Tensor, target: Tensor, smooth: float, eps: float, dims: Sequence[int] | None
    ) -> Tensor:
        """See `ByMethods.published_score`."""
        return soft_dice_score(output, target, smooth, eps, dims)
