"""Tversky loss: Dice with separate prices for false positives and false negatives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smp_losses.region import RegionLoss, RegionSums

# Below this a mean is rounding noise of 1 - score in float32, and a power of it below one has no finite slope.
_SMALL = 1e-7


def tversky_score(sums: RegionSums, alpha: float, beta: float, smooth: float, eps: float) -> Tensor:
    """The Tversky index of each class, TP / (TP + alpha FP + beta FN), with its smoothing: (C,)."""
    false_positive = sums.predicted - sums.both
    false_negative = sums.labelled - sums.both
    denominator = sums.both + alpha * false_positive + beta * false_negative + smooth
    return (sums.both + smooth) / denominator.clamp_min(eps)


class TverskyLoss(RegionLoss):
    r"""Tversky loss, :math:`(1 - \frac{TP}{TP + \alpha FP + \beta FN})^\gamma`; the power is that of the mean.

    Salehi et al.: *Tversky loss function for image segmentation using 3D fully convolutional deep networks*,
    https://arxiv.org/abs/1706.05721; the power is that of the focal Tversky loss, https://arxiv.org/abs/1810.07842.
    With alpha = beta = 0.5 it is the Dice loss, with alpha = beta = 1 the Jaccard loss.

    The sums run over all pixels of the batch that are not ignored, class by class. Labels between 0 and 1 (binary and
    multilabel) have min(p, t) in common with a probability, not p t, so that p = t is perfect: Wang et al.: *Dice
    semimetric losses*, https://arxiv.org/abs/2303.16296.

    Where the value is not SMP's, ``smp_values=True`` gives SMP's:

    - A class without a labelled pixel has no score, and leaves the mean over classes. SMP counts it as perfect: a loss
      of 0 in the mean. If no class is present at all, the loss is 0 either way, and moves nothing: an image without
      objects teaches through a pixelwise loss, such as FocalLoss, added to this one.

    With gamma below 1 the gradient stays finite where the loss is 0; SMP's is NaN there. float16 and bfloat16 are
    summed in float32; SMP's sums overflow.

    Args:
        mode: ``"binary"``, ``"multiclass"`` or ``"multilabel"``.
        classes: indices of the classes that count; by default all. Not for binary.
        log_loss: take -log(score) in place of 1 - score.
        from_logits: y_pred holds logits; otherwise probabilities in [0, 1].
        smooth: added to numerator and denominator of the score.
        ignore_index: label of pixels that do not count.
        eps: the denominator, and the score under the logarithm, are at least this.
        alpha: price of false positives.
        beta: price of false negatives.
        gamma: power of the mean over classes.
        class_weights: one number per class, of all classes; the mean over classes is weighted with them, and divided by
            their sum. Not for binary.
        smp_values: see above.

    Shapes, dtypes and errors of a call: see ``forward``.

    Example:
        >>> loss = TverskyLoss("multiclass", alpha=0.3, beta=0.7)
        >>> loss(torch.zeros(2, 4, 8, 8), torch.ones(2, 8, 8, dtype=torch.long))
        tensor(0.6774)

    Raises:
        ValueError: an unknown mode; classes or class_weights that make no sense.
    """

    name = "tversky"

    def __init__(
        self,
        mode: str,
        classes: Sequence[int] | None = None,
        log_loss: bool = False,
        from_logits: bool = True,
        smooth: float = 0.0,
        ignore_index: int | None = None,
        eps: float = 1e-7,
        alpha: float = 0.5,
        beta: float = 0.5,
        gamma: float = 1.0,
        class_weights: Sequence[float] | Tensor | None = None,
        *,
        smp_values: bool = False,
    ) -> None:
        super().__init__(
            mode, classes, log_loss, from_logits, smooth, ignore_index, eps, class_weights, smp_values=smp_values
        )
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma

    def score(self, sums: RegionSums) -> Tensor:
        """The Tversky index of each class: (C,)."""
        return tversky_score(sums, self.alpha, self.beta, self.smooth, self.eps)

    def aggregate(self, mean: Tensor) -> Tensor:
        """The mean to the power of gamma, continued by a straight line to 0 where the slope would be infinite."""
        if self.gamma == 1:
            return mean
        if self.gamma > 1:
            return mean**self.gamma
        small = mean < _SMALL
        power = torch.where(small, 1, mean) ** self.gamma
        return torch.where(small, mean.clamp_min(0) * _SMALL ** (self.gamma - 1), power)
