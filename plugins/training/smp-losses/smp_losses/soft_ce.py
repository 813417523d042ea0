"""Cross-entropy with softened labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from smp_losses.compose import Loss
from smp_losses.inputs import flatten, wants_plain_form
from smp_losses.modes import check_reduction
from smp_losses.reduce import weights_like, weights_tensor

# Stands for ignored pixels when torch is called; never a class index.
_IGNORED = -100


def _plain_entropy(logits: Tensor, target: Tensor, smoothing: float, weights: Tensor | None) -> Tensor:
    return cross_entropy(logits, target, weights, ignore_index=_IGNORED, reduction="none", label_smoothing=smoothing)


class _PixelEntropy(torch.autograd.Function):
    """Smoothed cross-entropy of each pixel, (N, P); torch's own takes half as many bytes again, and is slower on a CPU.

    The derivative is softmax minus the smoothed label, put together in one tensor.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
        logarithms = logits.log_softmax(1)
        values = logarithms.gather(1, target.unsqueeze(1)).squeeze(1).mul_(smoothing - 1)
        if smoothing:
            values.sub_(logarithms.sum(1), alpha=smoothing / logits.shape[1])
        ctx.smoothing = smoothing
        ctx.save_for_backward(logits, logarithms, target)
        return values

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        logits, logarithms, target = ctx.saved_tensors
        if torch.is_grad_enabled():
            values = _plain_entropy(logits, target, ctx.smoothing, None)
            (result,) = torch.autograd.grad(values, logits, grads[0], create_graph=True)
            return result, None, None
        index = target.unsqueeze(1)
        gradient = logarithms.exp()
        gradient.scatter_add_(1, index, gradient.new_full((1, 1, 1), ctx.smoothing - 1).expand_as(index))
        if ctx.smoothing:
            gradient.sub_(ctx.smoothing / logits.shape[1])
        return gradient.mul_(grads[0].unsqueeze(1)), None, None


class SoftCrossEntropyLoss(Loss):
    """Cross-entropy of logits against class indices, with label smoothing and ignored pixels.

    Label smoothing: Szegedy et al.: *Rethinking the Inception architecture for computer vision*,
    https://arxiv.org/abs/1512.00567: the true class has 1 - s + s / C, every other s / C.

    Where the value is not SMP's, ``smp_values=True`` gives SMP's:

    - The mean runs over the pixels that count. SMP divides by all, so that ignored pixels make the loss smaller.
    - ``reduction="none"`` gives the shape of y_true, (N, ...). SMP's has an axis of length 1 at ``dim``, unless
      ignore_index is None.

    ``SoftCrossEntropyLoss()`` works: without a smooth_factor labels are as they are. SMP stops there with a TypeError.
    float16 and bfloat16 are computed in float32.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``, 0 where ignored.
        smooth_factor: s above; None or 0: labels as they are.
        ignore_index: label of pixels that do not count, in no sum and in no mean. None: all count.
        dim: the axis of y_pred that holds the classes.
        class_weights: one number per class, as ``weight`` of ``torch.nn.CrossEntropyLoss``: a pixel weighs as much as
            its class, and a mean is divided by the sum of the weights of the pixels that count.
        smp_values: see above.

    Shapes, dtypes and errors of a call: see ``forward``.

    Example:
        >>> loss = SoftCrossEntropyLoss()
        >>> loss(torch.zeros(2, 4, 8, 8), torch.ones(2, 8, 8, dtype=torch.long))
        tensor(1.3863)

    Raises:
        ValueError: an unknown reduction, a smooth_factor outside [0, 1], class_weights that make no sense.
    """

    name = "soft_ce"
    class_weights: Tensor | None

    def __init__(
        self,
        reduction: str = "mean",
        smooth_factor: float | None = None,
        ignore_index: int | None = -100,
        dim: int = 1,
        *,
        class_weights: Sequence[float] | Tensor | None = None,
        smp_values: bool = False,
    ) -> None:
        super().__init__()
        check_reduction(reduction, "SoftCrossEntropyLoss")
        if smooth_factor is not None and not 0 <= smooth_factor <= 1:
            raise ValueError(f"SoftCrossEntropyLoss: smooth_factor must lie within 0 and 1, got {smooth_factor}")
        self.smooth_factor = smooth_factor
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.dim = dim
        self.smp_values = smp_values
        weights = weights_tensor(class_weights, "SoftCrossEntropyLoss")
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """The loss.

        Args:
            y_pred: logits (N, C, ...), with C at the axis ``dim``; any floating dtype.
            y_true: (N, ...) or (N, 1, ...), integers from 0 to C - 1 or ``ignore_index``.

        Returns:
            A scalar, or the shape of y_pred without ``dim`` for the reduction "none"; in float64 if y_pred is,
            otherwise in float32.

        Raises:
            TypeError: dtypes that make no sense.
            ValueError: shapes that do not fit, labels out of range, a number of class weights that is not that of
                classes.
        """
        loss = "SoftCrossEntropyLoss"
        if self.dim != 1 and isinstance(y_pred, Tensor) and isinstance(y_true, Tensor):
            # Targets may keep the axis of the classes, with length 1.
            y_true = y_true.movedim(self.dim, 1) if y_true.ndim == y_pred.ndim else y_true
            y_pred = y_pred.movedim(self.dim, 1)
        flat = flatten("multiclass", y_pred, y_true, self.ignore_index, loss)
        weights = weights_like(self.class_weights, flat.classes, flat.pred, loss)
        smoothing = self.smooth_factor or 0.0
        if weights is None and not wants_plain_form():
            values: Tensor = _PixelEntropy.apply(flat.pred, flat.target, smoothing)
            values = values if flat.valid is None else values * flat.valid
        else:
            target = flat.target if flat.valid is None else flat.target.masked_fill(~flat.valid, _IGNORED)
            values = _plain_entropy(flat.pred, target, smoothing, weights)
        if self.reduction == "none":
            return self._shaped(values, (y_pred.shape[0], *y_pred.shape[2:]))
        total = values.sum()
        return total if self.reduction == "sum" else total / self._size(flat.target, flat.valid, weights)

    def _shaped(self, value: Tensor, shape: tuple[int, ...]) -> Tensor:
        value = value.reshape(shape)
        return value.unsqueeze(self.dim) if self.smp_values and self.ignore_index is not None else value

    def _size(self, target: Tensor, valid: Tensor | None, weights: Tensor | None) -> Tensor | int:
        """What a mean is divided by."""
        if weights is None and (valid is None or self.smp_values):
            return max(1, target.numel())
        shares = torch.ones_like(target) if weights is None else weights[target]
        if valid is not None and not self.smp_values:
            shares = shares * valid
        total = shares.sum()
        return torch.where(total > 0, total, 1)

    def extra_repr(self) -> str:
        """What shapes the loss."""
        return f"ignore_index={self.ignore_index}, reduction={self.reduction!r}, smooth_factor={self.smooth_factor}"
