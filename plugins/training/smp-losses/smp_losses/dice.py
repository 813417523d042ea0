"""Dice loss."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from smp_losses.region import RegionLoss, RegionSums
from smp_losses.tversky import tversky_score


class DiceLoss(RegionLoss):
    r"""Dice loss, :math:`1 - \frac{2 \sum p t}{\sum p + \sum t}` per class, and the mean over classes.

    Milletari et al.: *V-Net: fully convolutional neural networks for volumetric medical image segmentation*,
    https://arxiv.org/abs/1606.04797; here with plain, not squared sums in the denominator, as in SMP.

    The sums run over all pixels of the batch that are not ignored, class by class. Labels between 0 and 1 (binary and
    multilabel) have min(p, t) in common with a probability, not p t, so that p = t is perfect: Wang et al.: *Dice
    semimetric losses*, https://arxiv.org/abs/2303.16296.

    Where the value is not SMP's, ``smp_values=True`` gives SMP's:

    - A class without a labelled pixel has no score, and leaves the mean over classes. SMP counts it as perfect: a loss
      of 0 in the mean. If no class is present at all, the loss is 0 either way, and moves nothing: an image without
      objects teaches through a pixelwise loss, such as FocalLoss, added to this one.

    float16 and bfloat16 are summed in float32; SMP's sums overflow.

    Args:
        mode: ``"binary"``, ``"multiclass"`` or ``"multilabel"``.
        classes: indices of the classes that count; by default all. Not for binary.
        log_loss: take -log(score) in place of 1 - score.
        from_logits: y_pred holds logits; otherwise probabilities in [0, 1].
        smooth: smoothing of the score; as in SMP twice this is added to its numerator and its denominator.
        ignore_index: label of pixels that do not count.
        eps: half the denominator, and the score under the logarithm, are at least this.
        class_weights: one number per class, of all classes; the mean over classes is weighted with them, and divided by
            their sum. Not for binary.
        smp_values: see above.

    Shapes, dtypes and errors of a call: see ``forward``.

    Example:
        >>> loss = DiceLoss("multiclass", ignore_index=255)
        >>> loss(torch.zeros(2, 4, 8, 8), torch.ones(2, 8, 8, dtype=torch.long))
        tensor(0.6000)

    Raises:
        ValueError: an unknown mode; classes or class_weights that make no sense.
    """

    name = "dice"

    def __init__(
        self,
        mode: str,
        classes: Sequence[int] | None = None,
        log_loss: bool = False,
        from_logits: bool = True,
        smooth: float = 0.0,
        ignore_index: int | None = None,
        eps: float = 1e-7,
        class_weights: Sequence[float] | Tensor | None = None,
        *,
        smp_values: bool = False,
    ) -> None:
        super().__init__(
            mode, classes, log_loss, from_logits, smooth, ignore_index, eps, class_weights, smp_values=smp_values
        )

    def score(self, sums: RegionSums) -> Tensor:
        """The Dice coefficient of each class: (C,)."""
        return tversky_score(sums, 0.5, 0.5, self.smooth, self.eps)
