"""Metrics of the old trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from smp_compat.base.modules import Activation
from smp_compat.utils import base
from smp_compat.utils import functional as F


class _OfChannels(base.Metric):
    """What three of them take."""

    def __init__(
        self,
        eps: float = 1e-7,
        threshold: float | None = 0.5,
        activation: Any = None,
        ignore_channels: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.eps, self.threshold = eps, threshold
        self.activation, self.ignore_channels = Activation(activation), ignore_channels


class IoU(_OfChannels):
    """`smp_compat.utils.functional.iou`; always logged as ``iou_score``."""

    __name__ = "iou_score"

    def forward(self, y_pr: Tensor, y_gt: Tensor) -> Tensor:
        """(N, C, ...), twice -> a number."""
        return F.iou(self.activation(y_pr), y_gt, self.eps, self.threshold, self.ignore_channels)


class Fscore(base.Metric):
    """`smp_compat.utils.functional.f_score`."""

    def __init__(
        self,
        beta: float = 1,
        eps: float = 1e-7,
        threshold: float | None = 0.5,
        activation: Any = None,
        ignore_channels: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.beta, self.eps, self.threshold = beta, eps, threshold
        self.activation, self.ignore_channels = Activation(activation), ignore_channels

    def forward(self, y_pr: Tensor, y_gt: Tensor) -> Tensor:
        """(N, C, ...), twice -> a number."""
        return F.f_score(self.activation(y_pr), y_gt, self.beta, self.eps, self.threshold, self.ignore_channels)


class Accuracy(base.Metric):
    """`smp_compat.utils.functional.accuracy`."""

    def __init__(
        self,
        threshold: float | None = 0.5,
        activation: Any = None,
        ignore_channels: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.threshold, self.activation, self.ignore_channels = threshold, Activation(activation), ignore_channels

    def forward(self, y_pr: Tensor, y_gt: Tensor) -> Tensor:
        """(N, C, ...), twice -> a number."""
        return F.accuracy(self.activation(y_pr), y_gt, self.threshold, self.ignore_channels)


class Recall(_OfChannels):
    """`smp_compat.utils.functional.recall`."""

    def forward(self, y_pr: Tensor, y_gt: Tensor) -> Tensor:
        """(N, C, ...), twice -> a number."""
        return F.recall(self.activation(y_pr), y_gt, self.eps, self.threshold, self.ignore_channels)


class Precision(_OfChannels):
    """`smp_compat.utils.functional.precision`."""

    def forward(self, y_pr: Tensor, y_gt: Tensor) -> Tensor:
        """(N, C, ...), twice -> a number."""
        return F.precision(self.activation(y_pr), y_gt, self.eps, self.threshold, self.ignore_channels)
