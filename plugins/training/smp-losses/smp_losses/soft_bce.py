"""Binary cross-entropy with softened labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from smp_losses.compose import Loss
from smp_losses.inputs import flatten
from smp_losses.modes import check_reduction
from smp_losses.reduce import safe_ratio, weights_like, weights_tensor


class SoftBCEWithLogitsLoss(Loss):
    """Binary cross-entropy of logits, with label smoothing and ignored pixels.

    Label smoothing: Szegedy et al.: *Rethinking the Inception architecture for computer vision*,
    https://arxiv.org/abs/1512.00567. Here, as in SMP, a label t becomes t (1 - s) + (1 - t) s.

    Where the value is not SMP's, ``smp_values=True`` gives SMP's:

    - The mean runs over the pixels that count. SMP divides by all, so that ignored pixels make the loss smaller.

    Labels may have any dtype (SMP stops at integers), and the channel may be missing on either side if there is one.
    float16 and bfloat16 are computed in float32.

    Args:
        weight: multiplies the loss of each element; broadcast against y_pred, e.g. (C, 1, 1). As in torch, a mean is
            not divided by it.
        ignore_index: label of elements that do not count, in no sum and in no mean. None: all count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``, the shape of y_pred with 0 where ignored.
        smooth_factor: s above; None or 0: labels as they are.
        pos_weight: weight of positives; broadcast against y_pred.
        class_weights: one number per channel, axis 1. A mean is divided by the sum of the weights of the elements that
            count.
        smp_values: see above.

    Shapes, dtypes and errors of a call: see ``forward``.

    Example:
        >>> loss = SoftBCEWithLogitsLoss(smooth_factor=0.1)
        >>> loss(torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8))
        tensor(0.6931)

    Raises:
        ValueError: an unknown reduction, class_weights that make no sense.
    """

    name = "soft_bce"
    weight: Tensor | None
    pos_weight: Tensor | None
    class_weights: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int | None = -100,
        reduction: str = "mean",
        smooth_factor: float | None = None,
        pos_weight: Tensor | None = None,
        *,
        class_weights: Sequence[float] | Tensor | None = None,
        smp_values: bool = False,
    ) -> None:
        super().__init__()
        check_reduction(reduction, "SoftBCEWithLogitsLoss")
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.smooth_factor = smooth_factor
        self.smp_values = smp_values
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)
        weights = weights_tensor(class_weights, "SoftBCEWithLogitsLoss")
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """The loss.

        Args:
            y_pred: logits (N, C, ...) or (N, ...), any floating dtype.
            y_true: the shape of y_pred, where a channel axis of length 1 may be missing on either side; values in [0,
                1] or ``ignore_index``.

        Returns:
            A scalar, or the shape of y_pred for the reduction "none"; in float64 if y_pred is, otherwise in float32.

        Raises:
            TypeError: dtypes that make no sense.
            ValueError: shapes that do not fit, labels out of range, a number of class weights that is not that of
                channels.
        """
        loss = "SoftBCEWithLogitsLoss"
        # With several channels the shapes are those of binary: nothing is pooled here, but the channel may be missing.
        flat = flatten("binary", y_pred, y_true, self.ignore_index, loss, any_value=self.smp_values)
        shape = y_pred.shape
        pred, target = flat.pred.reshape(shape), flat.target.reshape(shape)
        valid = None if flat.valid is None else flat.valid.reshape(shape)
        if self.smooth_factor is not None:
            target = target * (1 - self.smooth_factor) + (1 - target) * self.smooth_factor
        pos_weight = None if self.pos_weight is None else self.pos_weight.to(pred)
        values = binary_cross_entropy_with_logits(pred, target, pos_weight=pos_weight, reduction="none")
        if self.weight is not None:
            values = values * self.weight.to(pred)
        shares = self._class_shares(pred)
        if shares is not None:
            values = values * shares
        if valid is not None:
            values = values * valid
        if self.reduction == "none":
            return values
        return values.sum() if self.reduction == "sum" else self._mean(values, valid, shares)

    def _class_shares(self, pred: Tensor) -> Tensor | None:
        """Class weights in a shape that broadcasts against the prediction."""
        channels = pred.shape[1] if pred.ndim > 1 else 1
        weights = weights_like(self.class_weights, channels, pred, "SoftBCEWithLogitsLoss")
        return None if weights is None else weights.view(-1, *[1] * (pred.ndim - 2))

    def _mean(self, values: Tensor, valid: Tensor | None, shares: Tensor | None) -> Tensor:
        counted = torch.ones_like(values) if valid is None or self.smp_values else valid.to(values.dtype)
        if shares is None:
            return safe_ratio(values.sum(), counted.sum())
        total = (counted * shares).sum()
        return values.sum() / torch.where(total > 0, total, 1)

    def extra_repr(self) -> str:
        """What shapes the loss."""
        return f"ignore_index={self.ignore_index}, reduction={self.reduction!r}, smooth_factor={self.smooth_factor}"
