"""Losses of the old trainer: on scores, not on logits, unless an activation is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from smp_compat.base.modules import Activation
from smp_compat.utils import base
from smp_compat.utils import functional as F


class JaccardLoss(base.Loss):
    """1 minus `smp_compat.utils.functional.iou`."""

    def __init__(
        self,
        eps: float = 1.0,
        activation: Any = None,
        ignore_channels: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.eps, self.activation, self.ignore_channels = eps, Activation(activation), ignore_channels

    def forward(self, y_pr: Tensor, y_gt: Tensor) -> Tensor:
        """(N, C, ...), twice -> a number."""
        return 1 - F.jaccard(self.activation(y_pr), y_gt, eps=self.eps, ignore_channels=self.ignore_channels)


class DiceLoss(base.Loss):
    """1 minus `smp_compat.utils.functional.f_score`."""

    def __init__(
        self,
        eps: float = 1.0,
        beta: float = 1.0,
        activation: Any = None,
        ignore_channels: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.eps, self.beta = eps, beta
        self.activation, self.ignore_channels = Activation(activation), ignore_channels

    def forward(self, y_pr: Tensor, y_gt: Tensor) -> Tensor:
        """(N, C, ...), twice -> a number."""
        y_pr = self.activation(y_pr)
        return 1 - F.f_score(y_pr, y_gt, beta=self.beta, eps=self.eps, ignore_channels=self.ignore_channels)


class L1Loss(nn.L1Loss, base.Loss):
    """torch's, with a name."""


class MSELoss(nn.MSELoss, base.Loss):
    """torch's, with a name."""


class CrossEntropyLoss(nn.CrossEntropyLoss, base.Loss):
    """torch's, with a name."""


class NLLLoss(nn.NLLLoss, base.Loss):
    """torch's, with a name."""


class BCELoss(nn.BCELoss, base.Loss):
    """torch's, with a name."""


class BCEWithLogitsLoss(nn.BCEWithLogitsLoss, base.Loss):
    """torch's, with a name."""
