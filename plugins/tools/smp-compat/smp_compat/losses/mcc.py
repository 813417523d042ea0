"""MCCLoss with SMP's signature and values."""

from __future__ import annotations

import smp_losses

__all__ = ["MCCLoss"]


class MCCLoss(smp_losses.MCCLoss):
    """`smp_losses.MCCLoss` with ``smp_values=True``."""

    def __init__(
        self,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(
            eps=eps,
            smp_values=True,
        )
