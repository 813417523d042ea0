"""Masks in colour over pictures, legible with any kind of colour vision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smp_cli.images import Bytes
from smp_cli.legend import NAMELESS, Legend

Labels = NDArray[np.uint8] | NDArray[np.int64]

_OPACITY = 0.4


def draw_overlay(background: Bytes, classes: Labels, legend: Legend = NAMELESS, *, width: int | None = None) -> Bytes:
    """Tint every class that has a colour, and outline it in that.

    Args:
        background: (H, W, 3).
        classes: (H, W), the class of each pixel; 0 is left as it is, unless the legend has a colour for it.
        legend: colours.
        width: of the outlines; None: what is legible at this size.

    Returns:
        (H, W, 3)
    """
    table, drawn = legend.table(max(256, int(classes.max(initial=0)) + 1))
    colours, shown = table[classes], drawn[classes]
    tinted = background * (1 - _OPACITY) + colours * _OPACITY
    result = np.where(shown[..., None], tinted, background.astype(np.float32))
    lines = outline(classes, line_width(classes.shape) if width is None else width) & shown
    result[lines] = colours[lines]
    return np.rint(result).astype(np.uint8)


def line_width(shape: tuple[int, ...]) -> int:
    """A line of two pixels in a picture of 1600."""
    return max(1, round(max(shape) / 800))


def outline(classes: Labels, width: int) -> NDArray[np.bool_]:
    """The pixels that are within ``width`` rows or columns of another class, those of class 0 left out: (H, W)."""
    lines = np.zeros(classes.shape, dtype=np.bool_)
    for distance in range(1, width + 1):
        across = classes[distance:] != classes[:-distance]
        lines[distance:] |= across
        lines[:-distance] |= across
        along = classes[:, distance:] != classes[:, :-distance]
        lines[:, distance:] |= along
        lines[:, :-distance] |= along
    return lines & (classes > 0)
