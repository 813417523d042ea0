"""Lovász loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smp_losses.compose import Loss
from smp_losses.inputs import Flat, flatten
from smp_losses.lovasz_extension import lovasz_rows, softmax_lovasz
from smp_losses.modes import check_mode
from smp_losses.reduce import class_mean, class_sums, weights_like, weights_tensor

# How far probabilities are kept from 0 and 1 before they are made logits.
_EPS = 1e-7


class LovaszLoss(Loss):
    """Lovász loss: the tight convex surrogate of the Jaccard loss, by sorting the errors of all pixels.

    Berman et al.: *The Lovász-Softmax loss: a tractable surrogate for the optimization of the intersection-over-union
    measure in neural networks*, https://arxiv.org/abs/1705.08790. Multiclass: Lovász-Softmax, the mean over the
    classes that are present. Binary: Lovász hinge. Multilabel: as in SMP the hinge of all classes taken together as
    one binary problem; with ``class_weights`` each class is a problem of its own, and the loss is their weighted mean.

    Where the value is not SMP's, ``smp_values=True`` gives SMP's:

    - Without a labelled pixel there is no Jaccard index; the loss is 0, or with ``per_image`` the image leaves the
      mean over images. SMP's is the greatest hinge error, which pulls the one highest score down, to empty masks.
    - An image of which every pixel is ignored leaves the mean over images. SMP counts it as perfect in binary mode, and
      stops with an error in multiclass mode.
    - ``from_logits=False``: multiclass probabilities are taken as they are, and others are made logits for the hinge.
      SMP ignores the argument.

    If every pixel is ignored the loss is 0; SMP's is an empty tensor in multiclass mode. float16 and bfloat16 are
    computed in float32, and float64 in float64; SMP stops with an error for these in multiclass mode.

    Args:
        mode: ``"binary"``, ``"multiclass"`` or ``"multilabel"``.
        per_image: the mean of each image's loss; otherwise the whole batch is one set of pixels.
        ignore_index: label of pixels that do not count.
        from_logits: y_pred holds logits; otherwise probabilities in [0, 1].
        class_weights: one number per class for the mean over the classes that are present; divided by their sum. Not
            for binary.
        smp_values: see above.

    Shapes, dtypes and errors of a call: see ``forward``.

    Example:
        >>> loss = LovaszLoss("multiclass", per_image=True)
        >>> loss(torch.zeros(2, 4, 8, 8), torch.ones(2, 8, 8, dtype=torch.long))
        tensor(0.7500)

    Raises:
        ValueError: an unknown mode; class_weights that make no sense.
    """

    name = "lovasz"
    class_weights: Tensor | None

    def __init__(
        self,
        mode: str,
        per_image: bool = False,
        ignore_index: int | None = None,
        from_logits: bool = True,
        *,
        class_weights: Sequence[float] | Tensor | None = None,
        smp_values: bool = False,
    ) -> None:
        super().__init__()
        check_mode(mode, "LovaszLoss")
        self.mode = mode
        self.per_image = per_image
        self.ignore_index = ignore_index
        self.from_logits = from_logits
        self.smp_values = smp_values
        self.register_buffer("class_weights", weights_tensor(class_weights, "LovaszLoss", mode), persistent=False)

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """The loss.

        Args:
            y_pred: multiclass and multilabel (N, C, ...), binary (N, 1, ...) or (N, ...); any floating dtype.
            y_true: multiclass (N, ...) or (N, 1, ...), integers from 0 to C - 1; multilabel like y_pred, binary (N, 1,
                ...) or (N, ...): 0 or 1. And ``ignore_index`` anywhere.

        Returns:
            A scalar, in float64 if y_pred is, otherwise in float32.

        Raises:
            TypeError: dtypes that make no sense.
            ValueError: shapes that do not fit, labels out of range, a number of class weights that is not that of
                classes.
        """
        flat = flatten(self.mode, y_pred, y_true, self.ignore_index, "LovaszLoss")
        weights = weights_like(self.class_weights, flat.classes, flat.pred, "LovaszLoss")
        if flat.pred.numel() == 0:
            return flat.pred.sum()
        return self._softmax(flat, weights) if self.mode == "multiclass" else self._hinge(flat, weights)

    def _softmax(self, flat: Flat, weights: Tensor | None) -> Tensor:
        ones = torch.ones_like(flat.target) if flat.valid is None else flat.valid
        labelled = class_sums(ones.to(flat.pred.dtype), flat.target, flat.classes)
        if not self.per_image:
            labelled = labelled.sum(0, keepdim=True)
        # The loss is linear in the values of the classes: the two means over classes and images are made into one
        # table.
        present = (labelled > 0).to(flat.pred.dtype)
        shares = present if weights is None else present * weights
        total = shares.sum(1, keepdim=True)
        shares = shares / torch.where(total > 0, total, 1)
        images = (total > 0).sum().clamp_min(1)
        shares = shares / (shares.shape[0] if self.smp_values else images)
        from_logits = self.from_logits or self.smp_values
        return softmax_lovasz(flat.pred, flat.target, flat.valid, shares, self.per_image, from_logits)

    def _hinge(self, flat: Flat, weights: Tensor | None) -> Tensor:
        x = flat.pred
        if not self.from_logits and not self.smp_values:
            x = x.clamp(_EPS, 1 - _EPS).logit()
        errors = 1 - x * (2 * flat.target - 1)
        counted = torch.ones_like(flat.target, dtype=torch.bool) if flat.valid is None else flat.valid
        # Errors below 0 cost nothing and come last, where they change no other pixel's share.
        errors = errors.masked_fill(~counted, -1)
        errors, labelled, counted = (self._rows(item, weights) for item in (errors, flat.target, counted))
        values = lovasz_rows(errors.relu(), labelled)
        present = None if self.smp_values else labelled.sum(-1) > 0
        if weights is not None:
            groups = values.shape[0] // flat.classes
            values = values.view(groups, flat.classes)
            per_class = None if present is None else present.view(groups, flat.classes)
            values = class_mean(values, weights, per_class)
            present = None if per_class is None else (per_class * weights).sum(-1) > 0
        return class_mean(values, None, present)

    def _rows(self, maps: Tensor, weights: Tensor | None) -> Tensor:
        """(N, C, P) -> one row per problem to be solved on its own."""
        if weights is not None:
            return maps.flatten(0, 1) if self.per_image else maps.transpose(0, 1).flatten(1)
        return maps.flatten(1) if self.per_image else maps.reshape(1, -1)

    def extra_repr(self) -> str:
        """The mode, and over what it runs."""
        return f"{self.mode!r}, per_image={self.per_image}, ignore_index={self.ignore_index}"
