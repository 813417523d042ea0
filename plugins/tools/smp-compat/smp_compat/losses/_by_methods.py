"""Losses whose score and mean a subclass may override, as SMP's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from smp_losses.inputs import flatten
from smp_losses.reduce import class_mean, weights_like
from smp_losses.region import RegionLoss


class ByMethods(RegionLoss):
    """Before a loss: it has SMP's methods `compute_score` and `aggregate_loss`, and asks them where they are a user's.

    Where they are not, they are not called: the loss of smp-losses computes the same of sums alone.
    """

    def published_score(
        self, output: Tensor, target: Tensor, smooth: float, eps: float, dims: Sequence[int] | None
    ) -> Tensor:
        """The function of `smp_compat.losses._functional` that scores: see there."""
        raise NotImplementedError

    def compute_score(
        self,
        output: Tensor,
        target: Tensor,
        smooth: float = 0.0,
        eps: float = 1e-7,
        dims: Sequence[int] | None = None,
    ) -> Tensor:
        """The score of each class; a subclass may override it.

        Args:
            output: probabilities, (N, C, P); 0 where ignored.
            target: of the same shape and dtype, one-hot for multiclass; 0 where ignored.
            smooth, eps: the loss's own.
            dims: axes to sum over, (0, 2).

        Returns:
            (C,).
        """
        return self.published_score(output, target, smooth, eps, dims)

    def aggregate_loss(self, loss: Tensor) -> Tensor:
        """One number of the losses of the classes that count, (C,), by their weights; a subclass may override it."""
        weights = self.class_weights
        if weights is not None:
            weights = weights.to(loss)
            weights = weights if self.classes is None else weights[self.classes]
        return self.aggregate(class_mean(loss, weights, None))

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """See the loss of the same name in smp-losses."""
        if not self._are_methods_own():
            return super().forward(y_pred, y_true)
        loss = type(self).__name__
        flat = flatten(self.mode, y_pred, y_true, self.ignore_index, loss, any_value=True)
        weights_like(self.class_weights, flat.classes, flat.pred, loss)  # their number is checked
        output, target, valid = flat.pred, flat.target, flat.valid
        if self.from_logits:
            output = output.softmax(1) if self.mode == "multiclass" else output.sigmoid()
        if self.mode == "multiclass":
            target = functional.one_hot(target, flat.classes).movedim(-1, 1).to(output.dtype)
            valid = None if valid is None else valid.unsqueeze(1)
        if valid is not None:
            output, target = output * valid, target * valid
        score = self.compute_score(output, target, smooth=self.smooth, eps=self.eps, dims=(0, 2))
        values = -score.clamp_min(self.eps).log() if self.log_loss else 1.0 - score
        values = torch.where(target.sum((0, 2)) > 0, values, 0)
        return self.aggregate_loss(values if self.classes is None else values[self.classes])

    def _are_methods_own(self) -> bool:
        kind, own = type(self), vars(self)
        return (
            kind.compute_score is not ByMethods.compute_score
            or kind.aggregate_loss is not ByMethods.aggregate_loss
            or "compute_score" in own
            or "aggregate_loss" in own
        )
