"""Loss of the Matthews correlation coefficient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smp_losses.compose import Loss
from smp_losses.inputs import Flat, flatten
from smp_losses.modes import check_mode
from smp_losses.reduce import class_mean, weights_like, weights_tensor
from smp_losses.region import RegionSums, region_sums

# Below this a product of two shares of the pixels is taken for 0; its root has no slope there.
_TINY = 1e-30


class MCCLoss(Loss):
    r"""1 - the Matthews correlation coefficient, :math:`\frac{TP\,TN - FP\,FN}{\sqrt{(TP+FP)(TP+FN)(TN+FP)(TN+FN)}}`.

    Abhishek and Hamarneh: *Matthews correlation coefficient loss for deep convolutional networks: application to skin
    lesion segmentation*, https://arxiv.org/abs/2010.13454. The four counts run over all pixels of the batch that are
    not ignored.

    SMP's loss is binary and takes probabilities; these are the defaults. Here it also works in the other modes, each
    class against all others and then the mean over classes, and takes logits if told so.

    Where the value is not SMP's, ``smp_values=True`` gives SMP's:

    - A class that labels no pixel or every pixel correlates with nothing, and leaves the mean over classes; in binary
      mode the loss is then 0 and moves nothing. SMP's is nearly 1, with a gradient made of eps alone.

    float16 and bfloat16 are summed in float32, and the counts are divided by the number of pixels, so that no product
    of four overflows.

    Args:
        eps: added to each of the four counts.
        mode: ``"binary"``, ``"multiclass"`` or ``"multilabel"``.
        from_logits: y_pred holds logits; otherwise probabilities in [0, 1].
        ignore_index: label of pixels that do not count.
        class_weights: one number per class; the mean over classes is weighted with them, and divided by their sum. Not
            for binary.
        smp_values: see above.

    Shapes, dtypes and errors of a call: see ``forward``.

    Example:
        >>> loss = MCCLoss(mode="multiclass", from_logits=True)
        >>> loss(torch.zeros(2, 2, 8, 8), torch.arange(2).view(2, 1, 1).expand(2, 8, 8))
        tensor(1.)

    Raises:
        ValueError: an unknown mode; a negative eps; class_weights that make no sense.
    """

    name = "mcc"
    class_weights: Tensor | None

    def __init__(
        self,
        eps: float = 1e-5,
        *,
        mode: str = "binary",
        from_logits: bool = False,
        ignore_index: int | None = None,
        class_weights: Sequence[float] | Tensor | None = None,
        smp_values: bool = False,
    ) -> None:
        super().__init__()
        check_mode(mode, "MCCLoss")
        if not eps >= 0:
            raise ValueError(f"MCCLoss: eps must not be negative, got {eps}")
        self.eps = eps
        self.mode = mode
        self.from_logits = from_logits
        self.ignore_index = ignore_index
        self.smp_values = smp_values
        self.register_buffer("class_weights", weights_tensor(class_weights, "MCCLoss", mode), persistent=False)

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """The loss.

        Args:
            y_pred: multiclass and multilabel (N, C, ...), binary (N, 1, ...) or (N, ...); any floating dtype.
            y_true: multiclass (N, ...) or (N, 1, ...), integers from 0 to C - 1; multilabel like y_pred, binary (N, 1,
                ...) or (N, ...): values in [0, 1]. And ``ignore_index`` anywhere.

        Returns:
            A scalar, in float64 if y_pred is, otherwise in float32.

        Raises:
            TypeError: dtypes that make no sense.
            ValueError: shapes that do not fit, labels out of range, a number of class weights that is not that of
                classes.
        """
        flat = flatten(self.mode, y_pred, y_true, self.ignore_index, "MCCLoss")
        weights = weights_like(self.class_weights, flat.classes, flat.pred, "MCCLoss")
        sums = region_sums(flat, self.mode, self.from_logits, torch.mul)
        count = self._count(flat)
        defined = None if self.smp_values else (sums.labelled > 0) & (sums.labelled < count)
        return class_mean(1 - self._coefficient(sums, count), weights, defined)

    def _coefficient(self, sums: RegionSums, count: Tensor) -> Tensor:
        # The coefficient does not change when all four counts are divided by the same number.
        size = count.clamp_min(1)
        eps = self.eps / size
        both, predicted, labelled = (item / size for item in (sums.both, sums.predicted, sums.labelled))
        true_positive = both + eps
        false_positive = predicted - both + eps
        false_negative = labelled - both + eps
        true_negative = count / size - predicted - labelled + both + eps
        columns = (true_positive + false_positive) * (true_negative + false_negative)
        rows = (true_positive + false_negative) * (true_negative + false_positive)
        # Two roots: the product of all four underflows where both factors are small.
        root = columns.clamp_min(_TINY).sqrt() * rows.clamp_min(_TINY).sqrt()
        return (true_positive * true_negative - false_positive * false_negative) / root

    @staticmethod
    def _count(flat: Flat) -> Tensor:
        """How many pixels of each class count: (C,)."""
        if flat.valid is None:
            return flat.pred.new_full((flat.classes,), flat.pred.shape[0] * flat.pred.shape[2])
        return flat.valid.sum((0, -1)).to(flat.pred.dtype).expand(flat.classes)

    def extra_repr(self) -> str:
        """The mode, and what is ignored."""
        return f"mode={self.mode!r}, ignore_index={self.ignore_index}"
