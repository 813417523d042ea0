"""One confusion matrix for any number of images: C x C integers, whatever is counted."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch import distributed as dist

from smp_metrics import table
from smp_metrics.counting import count_pairs
from smp_metrics.ratios import ratio_of
from smp_metrics.reduce import ClassWeights, How, ZeroDivision, evaluate
from smp_metrics.stats import Stats, check_ignore_index, check_labels, check_no_nan, check_num_classes, index_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MatrixReduction = Literal["micro", "macro", "weighted", "none"]


# The counts of so many take two gigabytes.
_MOST_CLASSES = 1 << 14


class ConfusionMatrix:
    """Counts pairs of label and prediction over a data set, and computes scores, a table and a plot of them.

    Its memory does not grow with the number of images. It needs torch alone; torchmetrics has no part in it.

    Classes that neither occur nor are predicted leave averages by default (``zero_division="skip"``).

    Args:
        num_classes: C, the number of classes; 2 for a binary segmentation, whose maps of 0 and 1 are class indices.
        ignore_index: pixels with this label do not count, whatever is predicted for them; outside of 0 to C - 1.
        class_names: C names for the table and the plot; by default the indices.
        device: where the counts are kept; by default the device of the first update. To be said where processes that
            may see no image take part in :meth:`all_reduce` on GPUs.

    Raises:
        ValueError: no class, another number of names than classes, an ``ignore_index`` that is a class.

    Example:
        >>> matrix = ConfusionMatrix(3, ignore_index=255, class_names=["road", "tree", "sky"])
        >>> matrix.update(torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 255]]))
        >>> matrix.counts
        tensor([[1, 0, 0],
                [1, 1, 0],
                [0, 0, 0]])
        >>> matrix.score("iou_score")
        tensor(0.5000)
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int | None = None,
        class_names: Sequence[str] | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        check_num_classes(num_classes, "ConfusionMatrix")
        if num_classes > _MOST_CLASSES:
            raise ValueError(
                f"ConfusionMatrix: num_classes must be at most {_MOST_CLASSES}, got {num_classes}: it counts pairs of "
                f"classes; get_stats takes memory in proportion to their number"
            )
        check_ignore_index(ignore_index, num_classes, "ConfusionMatrix")
        names = tuple(map(str, range(num_classes))) if class_names is None else tuple(class_names)
        if len(names) != num_classes:
            raise ValueError(f"ConfusionMatrix: class_names must be {num_classes} names, got {len(names)}")
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.class_names = names
        self._counts = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)
        self._device_is_open = device is None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"ConfusionMatrix(num_classes={self.num_classes}, pixels={int(self._counts.sum())})"

    @property
    def counts(self) -> Tensor:
        """(C, C) int64: pixels of target class i (row) predicted as j (column), a copy."""
        return self._counts.clone()

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count one batch; several threads may, also beside `merge`, `reset` and `to`.

        Args:
            prediction: (N, ...) class indices in an integer dtype or bool; or (N, C, ...) scores in floating point, of
                which the highest is taken; NaN only where labels do not count.
            target: (N, ...) class indices in an integer dtype or bool.

        Raises:
            TypeError: no tensors, or dtypes that make no sense.
            ValueError: shapes, devices or labels that do not fit, or scores that are NaN.
        """
        where = "ConfusionMatrix.update"
        labels = to_indices(prediction, target, self.num_classes, where, self.ignore_index)
        check_labels(labels, target, where)
        # One row: the images need not be told apart.
        rows = index_rows(labels.reshape(1, -1), target.reshape(1, -1), self.num_classes, self.ignore_index, where)
        pairs = count_pairs(rows)[0]
        with self._lock:
            if self._device_is_open:
                self._move(pairs.device)
            # Never in place: a tensor made in inference mode could not be changed outside of it.
            self._counts = self._counts + pairs.to(self._counts.device)

    def to(self, device: torch.device | str) -> ConfusionMatrix:
        """Keep the counts on this device from now on; returns itself."""
        with self._lock:
            self._move(device)
        return self

    def _move(self, device: torch.device | str) -> None:
        self._counts = self._counts.to(device)
        self._device_is_open = False

    def reset(self) -> None:
        """Forget what was counted."""
        with self._lock:
            self._counts = torch.zeros_like(self._counts)

    def merge(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """Add what another one has counted, into which nobody else may count meanwhile; returns itself.

        Raises:
            ValueError: it has other classes.
        """
        if (other.num_classes, other.class_names) != (self.num_classes, self.class_names):
            raise ValueError(
                f"ConfusionMatrix.merge: the classes differ, {list(self.class_names)} here and "
                f"{list(other.class_names)} there"
            )
        added = other.counts
        with self._lock:
            self._counts = self._counts + added.to(self._counts.device)
        return self

    def all_reduce(self, group: dist.ProcessGroup | None = None) -> ConfusionMatrix:
        """A new matrix with the sum of the counts of all processes; this one stays, and can go on counting.

        Each process of the group has to call it. Where torch.distributed is not in use, the sum is that of one
        process. NCCL needs the counts on a GPU; see ``device``.
        """
        total = copy.copy(self)
        total._counts = self.counts
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(total._counts, group=group)
        return total

    def stats(self) -> Stats:
        """``tp, fp, fn, tn``, each (1, C) int64: what every score function takes."""
        right = self._counts.diagonal().clone()
        predicted, labelled = self._counts.sum(0), self._counts.sum(1)
        counts = (right, predicted - right, labelled - right, self._counts.sum() - predicted - labelled + right)
        tp, fp, fn, tn = (count.unsqueeze(0) for count in counts)
        return tp, fp, fn, tn

    def score(
        self,
        name: str,
        reduction: MatrixReduction = "macro",
        class_weights: ClassWeights | None = None,
        zero_division: ZeroDivision = "skip",
        beta: float = 1.0,
    ) -> Tensor:
        """Any score of this package over all that was counted.

        Args:
            name: the name of its function, such as ``"iou_score"``.
            reduction: "macro", the mean over classes; "weighted"; "micro", of counts summed over classes; or "none",
                one score per class. Images are not told apart here, so there is no imagewise form.
            class_weights: one number per class, for "weighted".
            zero_division: the score where it is undefined; "skip" leaves it out of the mean, and is NaN without one.
            beta: of ``"fbeta_score"``.

        Returns:
            A scalar, or (C,) for "none".

        Raises:
            ValueError: an unknown name or reduction, or weights that do not fit.
        """
        if reduction not in ("micro", "macro", "weighted", "none"):
            raise ValueError(
                f"ConfusionMatrix.score: reduction must be 'micro', 'macro', 'weighted' or 'none', got {reduction!r}; "
                f"a matrix over all images does not tell them apart"
            )
        how = How(name, reduction, class_weights, zero_division)
        value = evaluate(ratio_of(name, beta), self.stats(), how)
        return value[0] if reduction == "none" else value

    def pixel_accuracy(self) -> Tensor:
        """The share of pixels whose class is right, a scalar; NaN if nothing was counted."""
        return self._counts.diagonal().sum() / self._counts.sum()

    def compute(self) -> dict[str, Tensor]:
        """Means over the classes that occur or are predicted, and the pixel accuracy, for logging; scalars by name."""
        scores = {name: self.score(name) for name in table.SCORES}
        return {**scores, "pixel_accuracy": self.pixel_accuracy()}

    def rows(self) -> list[list[str | float | int]]:
        """The table as a list: a row of titles, one row per class, one of means; undefined scores are NaN."""
        tp, _, fn, _ = self.stats()
        scores = [self.score(name, "none").tolist() for name in table.SCORES]
        means = [self.score(name).item() for name in table.SCORES]
        return table.rows(self.class_names, scores, means, (tp + fn)[0].tolist())

    def table(self) -> str:
        """Scores per class and their means as plain text; "-" is an undefined score."""
        return table.text(self.rows(), self.pixel_accuracy().item())

    def plot(
        self,
        ax: Axes | None = None,
        normalize: Literal["target", "prediction", "all"] | None = "target",
        annotate: bool | None = None,
        cmap: Any = "Blues",
    ) -> Axes:
        """Draw the matrix, targets downwards and predictions to the right. Needs matplotlib.

        Args:
            ax: axes to draw on; by default those of a new figure.
            normalize: shares of each row ("target": the diagonal is recall), of each column ("prediction": the
                diagonal is precision), of all pixels ("all"), or None for counts.
            annotate: write the numbers into the cells; by default up to 20 classes.
            cmap: a matplotlib colour map.

        Returns:
            The axes.

        Raises:
            ImportError: matplotlib is not installed; the message says how to install it.
            ValueError: an unknown ``normalize``.
        """
        from smp_metrics.plot import draw

        annotate = self.num_classes <= 20 if annotate is None else annotate
        return draw(self._counts.cpu(), self.class_names, ax, normalize, annotate, cmap)


def to_indices(
    prediction: Tensor, target: Tensor, num_classes: int, where: str, ignore_index: int | None = None
) -> Tensor:
    """Class indices as they came, or of the highest of scores (N, C, ...) in floating point.

    Raises:
        ValueError: another number of channels than classes, a shape that does not fit the target, or NaN where labels
            count.
    """
    both_tensors = isinstance(prediction, Tensor) and isinstance(target, Tensor)
    if not both_tensors or not prediction.is_floating_point():
        return prediction  # what is no tensor gets its error where labels are checked
    shape = tuple(prediction.shape)
    if len(shape) < 2 or shape[1] != num_classes or (shape[0], *shape[2:]) != tuple(target.shape):
        raise ValueError(
            f"{where}: scores of {num_classes} classes must have the shape (N, {num_classes}, ...) for a target "
            f"(N, ...), got {shape} for {tuple(target.shape)}; labels must have an integer dtype"
        )
    check_no_nan(prediction.isnan().any(dim=1), target, ignore_index, where)
    return prediction.argmax(dim=1)
