"""LovaszLoss with SMP's signature and values."""

from __future__ import annotations

import smp_losses
from smp_compat._not_provided import raises_for
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


__getattr__ = raises_for(__name__)
