"""Masks in colour over pictures, legible with any kind of colour vision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smp_cli.images import Bytes

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), then those of Paul Tol's "muted" that differ from it.
PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (136, 34, 85),
    (51, 34, 136),
    (153, 153, 51),
    (17, 119, 51),
    (68, 170, 153),
    (204, 102, 119),
)

_OPACITY = 0.4


def colour_of(index: int) -> tuple[int, int, int]:
    """The colour of a class from 1 on; they repeat where there are more classes than colours."""
    return PALETTE[(index - 1) % len(PALETTE)]


def draw_overlay(background: Bytes, classes: Bytes) -> Bytes:
    """Tint every class but 0, and outline it in its full colour.

    Args:
        background: (H, W, 3).
        classes: (H, W), the class of each pixel; 0 is left as it is.

    Returns:
        (H, W, 3)
    """
    table = np.array([(0, 0, 0), *(colour_of(index) for index in range(1, 256))], dtype=np.float32)
    colours = table[classes]
    tinted = background * (1 - _OPACITY) + colours * _OPACITY
    result = np.where((classes > 0)[..., None], tinted, background.astype(np.float32))
    # A line of two pixels in a picture of 1600.
    width = max(1, round(max(classes.shape) / 800))
    lines = outline(classes, width)
    result[lines] = colours[lines]
    return np.rint(result).astype(np.uint8)


def outline(classes: Bytes, width: int) -> NDArray[np.bool_]:
    """The pixels of every class but 0 that are within ``width`` rows or columns of another class: (H, W)."""
    lines = np.zeros(classes.shape, dtype=np.bool_)
    for distance in range(1, width + 1):
        across = classes[distance:] != classes[:-distance]
        lines[distance:] |= across
        lines[:-distance] |= across
        along = classes[:, distance:] != classes[:, :-distance]
        lines[:, distance:] |= along
        lines[:, :-distance] |= along
    return lines & (classes > 0)
