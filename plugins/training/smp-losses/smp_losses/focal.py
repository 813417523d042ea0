"""Focal loss."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from smp_losses.compose import Loss
from smp_losses.focal_terms import FocalOptions, index_sums, map_sums, terms_of_indices, terms_of_maps
from smp_losses.inputs import Flat, flatten, known_hard, wants_plain_form
from smp_losses.kernels import FOCAL, kernel_for
from smp_losses.modes import check_mode, check_reduction
from smp_losses.reduce import class_mean, safe_ratio, weights_like, weights_tensor

# What the sum of the factors is at least, before a normalised loss divides by it.
_LEAST_NORM = 1e-6


class FocalLoss(Loss):
    r"""Focal loss: cross-entropy, :math:`-\log p_t`, times :math:`(1 - p_t)^\gamma`, so that easy pixels count little.

    Lin et al.: *Focal loss for dense object detection*, https://arxiv.org/abs/1708.02002. In multiclass mode, as in
    SMP, each class is a binary problem of its own (sigmoid, not softmax), and the loss is the mean over the classes.

    Where the value is not SMP's, ``smp_values=True`` gives SMP's:

    - ``from_logits=False`` in multiclass mode: the logit of a probability p is log(p / (1 - p)), so that a perfect
      prediction costs nothing. SMP takes log(p), and a perfect prediction costs log 2 / 4 at gamma 2.
    - ``reduction="none"``: one value per pixel and class in the shape of y_pred, 0 where ignored. SMP's is
      one-dimensional without the ignored pixels in binary mode, and the mean in the others.
    - ``reduction="batchwise_mean"``: the mean over pixels of the sum over the batch. SMP's is the whole sum in binary
      mode and with an ignore_index.

    If every pixel is ignored the loss is 0; SMP's is NaN. ``ignore_index`` works in multilabel mode; SMP stops there
    with an IndexError. With gamma below 1 the gradient of a confident pixel is finite; SMP's is NaN. float16 and
    bfloat16 are computed in float32.

    Args:
        mode: ``"binary"``, ``"multiclass"`` or ``"multilabel"``.
        alpha: weight of positives; negatives have 1 - alpha. None: no such weights.
        gamma: how much easy pixels are damped, not negative.
        ignore_index: label of pixels that do not count, in no sum and in no mean.
        from_logits: y_pred holds logits; otherwise probabilities in [0, 1].
        eps: probabilities are kept this far from 0 and 1 before they are made logits.
        reduction: ``"mean"`` over the pixels that count, ``"sum"``, ``"none"`` or ``"batchwise_mean"``; all but "none"
            are followed by the mean over classes, "sum" too.
        normalized: divide by the sum of the factors of a class (https://arxiv.org/abs/1909.07829).
        reduced_threshold: reduced focal loss (https://arxiv.org/abs/1903.01347): the factor is 1 where p_t is below
            it, and ((1 - p_t) / reduced_threshold) ** gamma elsewhere.
        class_weights: one number per class; the mean over classes is weighted with them, and divided by their sum
            ("none": each value is multiplied by its class's). Not for binary.
        smp_values: see above.

    Shapes, dtypes and errors of a call: see ``forward``.

    Example:
        >>> loss = FocalLoss("multiclass")
        >>> loss(torch.zeros(2, 4, 8, 8), torch.ones(2, 8, 8, dtype=torch.long))
        tensor(0.1733)

    Raises:
        ValueError: an unknown mode or reduction; a negative gamma; class_weights that make no sense.
    """

    name = "focal"
    class_weights: Tensor | None

    def __init__(
        self,
        mode: str,
        alpha: float | None = None,
        gamma: float | None = 2.0,
        ignore_index: int | None = None,
        from_logits: bool = True,
        eps: float = 1e-7,
        reduction: str | None = "mean",
        normalized: bool = False,
        reduced_threshold: float | None = None,
        class_weights: Sequence[float] | Tensor | None = None,
        *,
        smp_values: bool = False,
    ) -> None:
        super().__init__()
        check_mode(mode, "FocalLoss")
        self.reduction = "none" if reduction is None else reduction
        check_reduction(self.reduction, "FocalLoss", ("batchwise_mean",))
        self.gamma = 2.0 if gamma is None else float(gamma)
        if not self.gamma >= 0:
            raise ValueError(f"FocalLoss: gamma must not be negative, got {gamma}")
        self.mode = mode
        self.alpha = alpha
        self.ignore_index = ignore_index
        self.from_logits = from_logits
        self.eps = eps
        self.normalized = normalized
        self.reduced_threshold = reduced_threshold
        self.smp_values = smp_values
        self.register_buffer("class_weights", weights_tensor(class_weights, "FocalLoss", mode), persistent=False)

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """The loss.

        Args:
            y_pred: multiclass and multilabel (N, C, ...), binary (N, 1, ...) or (N, ...); any floating dtype.
            y_true: multiclass (N, ...) or (N, 1, ...), integers from 0 to C - 1; multilabel like y_pred, binary (N, 1,
                ...) or (N, ...): values in [0, 1]. And ``ignore_index`` anywhere.

        Returns:
            A scalar, or the shape of y_pred for the reduction "none"; in float64 if y_pred is, otherwise in float32.

        Raises:
            TypeError: dtypes that make no sense.
            ValueError: shapes that do not fit, labels out of range, a number of class weights that is not that of
                classes.
            RuntimeError: under ``torch.vmap``, where the number of values depends on the labels (SMP's values of
                binary mode, ignored pixels, the reduction "none").
        """
        summed = not self.normalized and self.reduction != "none"
        by_kernel = summed and self.mode == "multiclass" and self.from_logits
        kernel = kernel_for(FOCAL, y_pred) if by_kernel else None
        any_value = self.smp_values and isinstance(y_true, Tensor) and y_true.is_floating_point()
        flat = flatten(
            self.mode, y_pred, y_true, self.ignore_index, "FocalLoss", any_value=any_value, keeps=kernel is not None
        )
        weights = weights_like(self.class_weights, flat.classes, flat.pred, "FocalLoss")
        x = flat.pred if self.from_logits else self._logits(flat.pred)
        options = FocalOptions(self.alpha, self.gamma, self.reduced_threshold)
        if summed and self.mode == "multiclass":
            sums = index_sums(x, flat.target, flat.valid, options, kernel)
        elif summed and not wants_plain_form() and known_hard(y_true, flat.target):
            sums = map_sums(x, flat.target, flat.valid, options)
        else:
            terms = self._terms(x, flat, options)
            if self.reduction == "none":
                return self._elements(terms, flat, weights, y_pred)
            sums = terms.sum((0, 2))
        return self._reduce(sums, flat, weights)

    def _logits(self, probability: Tensor) -> Tensor:
        inside = probability.clamp(self.eps, 1 - self.eps)
        return inside.log() if self.smp_values and self.mode == "multiclass" else inside.logit()

    def _terms(self, x: Tensor, flat: Flat, options: FocalOptions) -> Tensor:
        """The loss of every pixel and class, (N, C, P); 0 where ignored."""
        make = terms_of_indices if self.mode == "multiclass" else terms_of_maps
        factor, entropy = make(x, flat.target, options)
        if flat.valid is not None:
            factor = factor * (flat.valid.unsqueeze(1) if self.mode == "multiclass" else flat.valid)
        if self.normalized:
            factor = factor / factor.sum((0, 2), keepdim=True).clamp_min(_LEAST_NORM)
        return factor * entropy

    def _count(self, flat: Flat) -> Tensor:
        """How many pixels of each class count: (C,)."""
        if flat.valid is None:
            return flat.pred.new_full((flat.classes,), flat.pred.shape[0] * flat.pred.shape[2], dtype=flat.dtype)
        return flat.valid.sum((0, -1)).to(flat.dtype).expand(flat.classes)

    def _reduce(self, sums: Tensor, flat: Flat, weights: Tensor | None) -> Tensor:
        count = self._count(flat)
        if self.reduction == "mean":
            sums = safe_ratio(sums, count)
        elif self.reduction == "batchwise_mean":
            whole_sum = self.smp_values and (self.mode == "binary" or flat.valid is not None)
            sums = sums if whole_sum else safe_ratio(sums, count) * flat.pred.shape[0]
        return class_mean(sums, weights, None if flat.valid is None else count > 0)

    def _elements(self, terms: Tensor, flat: Flat, weights: Tensor | None, y_pred: Tensor) -> Tensor:
        if self.smp_values and self.mode == "binary":
            return terms.flatten() if flat.valid is None else self._counted(terms, flat.valid)
        if self.smp_values:
            return class_mean(safe_ratio(terms.sum((0, 2)), self._count(flat)), weights, None)
        if weights is not None:
            terms = terms * weights.view(1, -1, 1)
        return terms.reshape(y_pred.shape)

    @staticmethod
    def _counted(terms: Tensor, valid: Tensor) -> Tensor:
        try:
            return terms[valid]
        except RuntimeError as error:
            if "vmap" not in str(error):
                raise
            raise RuntimeError(
                "FocalLoss (binary): smp_values=True with reduction='none' and ignore_index gives as many values as "
                "pixels count, which torch.vmap cannot map; pass smp_values=False, which gives 0 where ignored"
            ) from error

    def extra_repr(self) -> str:
        """The mode, and what shapes the loss."""
        return f"{self.mode!r}, alpha={self.alpha}, gamma={self.gamma}, ignore_index={self.ignore_index}"
