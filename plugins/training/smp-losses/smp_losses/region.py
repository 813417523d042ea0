"""Per class: how much was predicted, how much is labelled, and both. The base of Dice, Jaccard, Tversky and MCC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from smp_losses.compose import Loss
from smp_losses.inputs import Flat, flatten, wants_plain_form
from smp_losses.kernels import REGION, kernel_for
from smp_losses.modes import check_mode
from smp_losses.reduce import class_mean, class_sums, weights_like, weights_tensor


class RegionSums:
    """Sums over all pixels that count, each of shape (C,).

    Attributes:
        both: of what probability and label have in common.
        predicted: of probabilities.
        labelled: of labels.
    """

    def __init__(self, both: Tensor, predicted: Tensor, labelled: Tensor) -> None:
        self.both = both
        self.predicted = predicted
        self.labelled = labelled


def region_sums(
    flat: Flat,
    mode: str,
    from_logits: bool,
    common: Callable[[Tensor, Tensor], Tensor] = torch.minimum,
    kernel: Callable[..., Any] | None = None,
) -> RegionSums:
    """The sums of a prediction; differentiable with regard to it, twice too.

    What a probability and a label of 0 or 1 have in common is their product and the smaller of the two alike. For soft
    labels ``common`` decides; with the smaller one, a prediction equal to its label is perfect. ``kernel`` is
    `smp_losses.kernels.REGION`, where the mode is multiclass, the prediction holds logits, and there is one.
    """
    if kernel is not None:
        return RegionSums(*kernel(flat.pred, flat.target, flat.valid))
    if mode == "multiclass":
        labelled = class_sums(_ones(flat), flat.target, flat.classes).sum(0)
        if not from_logits:
            both, predicted = _sums_of_probabilities(flat.pred, flat.target, flat.valid)
        elif wants_plain_form():
            # The compiler fuses the plain formula by itself.
            both, predicted = _sums_of_probabilities(flat.pred.softmax(1), flat.target, flat.valid)
        else:
            both, predicted = _SoftmaxSums.apply(flat.pred, flat.target, flat.valid)
        return RegionSums(both, predicted, labelled)
    probability = flat.pred.sigmoid() if from_logits else flat.pred
    if flat.valid is not None:
        probability = probability * flat.valid
    both = common(probability, flat.target).sum((0, 2))
    return RegionSums(both, probability.sum((0, 2)), flat.target.sum((0, 2)))


def _ones(flat: Flat) -> Tensor:
    if flat.valid is None:
        return torch.ones_like(flat.target, dtype=flat.pred.dtype)
    return flat.valid.to(flat.pred.dtype)


def _sums_of_probabilities(probability: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    if valid is not None:
        probability = probability * valid.unsqueeze(1)
    chosen = probability.gather(1, target.unsqueeze(1)).squeeze(1)
    return class_sums(chosen, target, probability.shape[1]).sum(0), probability.sum((0, 2))


class _SoftmaxSums(torch.autograd.Function):
    """The sums of softmax(logits), with a backward pass in closed form.

    The gradient with regard to the probabilities is one number per class, plus one more per class at the labelled
    pixels. Neither it nor a one-hot target is ever stored: only the probabilities are kept, and the backward pass
    needs one more tensor of their size, the gradient itself.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        probability = logits.softmax(1)
        if valid is not None:
            probability *= valid.unsqueeze(1)
        both, predicted = _sums_of_probabilities(probability, target, None)
        # The logits are kept, at no cost, for a second derivative.
        ctx.save_for_backward(logits, probability, target, valid)
        return both, predicted

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        logits, probability, target, valid = ctx.saved_tensors
        if torch.is_grad_enabled():
            sums = _sums_of_probabilities(logits.softmax(1), target, valid)
            (gradient,) = torch.autograd.grad(sums, logits, grads, create_graph=True)
            return gradient, None, None
        for_both, for_predicted = grads
        index = target.unsqueeze(1)
        at_label = probability.gather(1, index) * for_both[index]
        gradient = probability * for_predicted.view(1, -1, 1)
        inner = gradient.sum(1, keepdim=True) + at_label
        gradient.addcmul_(probability, inner, value=-1)
        return gradient.scatter_add_(1, index, at_label), None, None


class RegionLoss(Loss):
    """What Dice, Jaccard and Tversky share: sums per class, a score of each class, a mean over classes."""

    class_weights: Tensor | None

    def __init__(
        self,
        mode: str,
        classes: Sequence[int] | None,
        log_loss: bool,
        from_logits: bool,
        smooth: float,
        ignore_index: int | None,
        eps: float,
        class_weights: Sequence[float] | Tensor | None,
        smp_values: bool,
    ) -> None:
        super().__init__()
        loss = type(self).__name__
        check_mode(mode, loss)
        if classes is not None:
            if mode == "binary":
                raise ValueError(
                    f"{loss}: classes need the mode 'multiclass' or 'multilabel'; binary has a single class"
                )
            classes = [int(index) for index in classes]
            if not classes:
                raise ValueError(f"{loss}: classes must name at least one class, got an empty list")
        self.mode = mode
        self.classes = classes
        self.log_loss = log_loss
        self.from_logits = from_logits
        self.smooth = smooth
        self.ignore_index = ignore_index
        self.eps = eps
        self.smp_values = smp_values
        self.register_buffer("class_weights", weights_tensor(class_weights, loss, mode), persistent=False)

    def score(self, sums: RegionSums) -> Tensor:
        """The score of each class, 1 for a perfect prediction: (C,)."""
        raise NotImplementedError

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """The loss.

        Args:
            y_pred: multiclass and multilabel (N, C, ...), binary (N, 1, ...) or (N, ...); any floating dtype; logits,
                or probabilities in [0, 1] if ``from_logits`` is False.
            y_true: multiclass (N, ...) or (N, 1, ...), integers from 0 to C - 1; multilabel like y_pred, binary (N, 1,
                ...) or (N, ...): values in [0, 1]. And ``ignore_index`` anywhere.

        Returns:
            A scalar, in float64 if y_pred is, otherwise in float32.

        Raises:
            TypeError: dtypes that make no sense.
            ValueError: shapes that do not fit, labels out of range, a number of class weights that is not that of
                classes.
        """
        loss = type(self).__name__
        kernel = kernel_for(REGION, y_pred) if self.mode == "multiclass" and self.from_logits else None
        flat = flatten(
            self.mode, y_pred, y_true, self.ignore_index, loss, any_value=self.smp_values, keeps=kernel is not None
        )
        weights = weights_like(self.class_weights, flat.classes, flat.pred, loss)
        sums = region_sums(flat, self.mode, self.from_logits, kernel=kernel)
        present = sums.labelled > 0
        score = self.score(sums)
        values = -score.clamp_min(self.eps).log() if self.log_loss else 1 - score
        values = torch.where(present, values, 0)
        if self.classes is not None:
            if not all(-flat.classes <= index < flat.classes for index in self.classes):
                raise ValueError(
                    f"{loss}: classes {self.classes} were asked for, but y_pred has {flat.classes} classes"
                )
            values, present = values[self.classes], present[self.classes]
            weights = None if weights is None else weights[self.classes]
        return self.aggregate(class_mean(values, weights, None if self.smp_values else present))

    def aggregate(self, mean: Tensor) -> Tensor:
        """What becomes of the mean over classes."""
        return mean

    def extra_repr(self) -> str:
        """The mode, and what is ignored."""
        return f"{self.mode!r}, ignore_index={self.ignore_index}"
