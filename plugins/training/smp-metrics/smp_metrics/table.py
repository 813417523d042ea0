"""A table of scores per class, as rows and as plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

SCORES = ("iou_score", "f1_score", "precision", "recall")

_TITLES = ("class", "IoU", "F1", "precision", "recall", "pixels")

Row = list[str | float | int]


def rows(
    names: Sequence[str], scores: Sequence[Sequence[float]], means: Sequence[float], pixels: Sequence[int]
) -> list[Row]:
    """Titles, one row per class and one of means; the last column is how many pixels have that label."""
    titles: Row = list(_TITLES)
    body: list[Row] = [[name, *values, count] for name, *values, count in zip(names, *scores, pixels, strict=True)]
    return [titles, *body, ["mean", *means, sum(pixels)]]


def text(table: Sequence[Row], pixel_accuracy: float) -> str:
    """Columns in line, scores with four decimals, a rule above the means, the pixel accuracy in a last line."""
    cells = [[_cell(value) for value in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(row, widths) for row in cells]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], f"pixel accuracy {_cell(pixel_accuracy)}"])


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4f}"
    return str(value)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name = cells[0].ljust(widths[0])
    return "  ".join([name, *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))])
