"""A picture of a confusion matrix. The only file that imports matplotlib, and only when something is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(
    counts: Tensor, names: Sequence[str], ax: Axes | None, normalize: str | None, annotate: bool, cmap: Any
) -> Axes:
    """See :meth:`smp_metrics.ConfusionMatrix.plot`; counts are (C, C) on the CPU."""
    values = _shares(counts, normalize)
    if ax is None:
        ax = _new_axes(len(names))
    # Without a row of labels there is nothing to show in that row: 0, as in the counts.
    cells = values.nan_to_num(0.0).tolist()
    image = ax.imshow(cells, cmap=cmap, vmin=0.0, vmax=None if normalize is None else 1.0)
    figure = ax.get_figure()
    if figure is not None:
        figure.colorbar(image, ax=ax, fraction=0.046, pad=0.04)
    places = range(len(names))
    ax.set_xticks(places, labels=names, rotation=90 if max(map(len, names)) > 3 else 0)
    ax.set_yticks(places, labels=names)
    ax.set_xlabel("prediction")
    ax.set_ylabel("target")
    if annotate:
        _write_numbers(ax, cells, normalize)
    return ax


def _shares(counts: Tensor, normalize: str | None) -> Tensor:
    if normalize is None:
        return counts.double()
    if normalize == "target":
        return counts / counts.sum(1, keepdim=True)
    if normalize == "prediction":
        return counts / counts.sum(0, keepdim=True)
    if normalize == "all":
        return counts / counts.sum()
    raise ValueError(f"plot: normalize must be 'target', 'prediction', 'all' or None, got {normalize!r}")


def _new_axes(classes: int) -> Axes:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            'a plot of a confusion matrix needs matplotlib: pip install "smp-metrics[plot]"', name="matplotlib"
        ) from error
    side = min(20.0, 3.0 + 0.5 * classes)
    ax: Axes = pyplot.subplots(figsize=(side, side), layout="constrained")[1]
    return ax


def _write_numbers(ax: Axes, cells: list[list[float]], normalize: str | None) -> None:
    highest = max(map(max, cells)) if normalize is None else 1.0
    for row, values in enumerate(cells):
        for column, value in enumerate(values):
            written = f"{value:.0f}" if normalize is None else f"{value:.2f}"
            # White on dark cells.
            colour = "white" if value > highest / 2 else "black"
            ax.text(column, row, written, ha="center", va="center", color=colour, fontsize="small")
