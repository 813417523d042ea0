"""Overlays of pictures of any size, in bounded memory: read some rows at a time, larger ones sampled down."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from smp_cli.files import written_whole
from smp_cli.images import Bytes, stretch, to_bytes
from smp_cli.legend import Legend
from smp_cli.overlay import draw_overlay, line_width
from smp_predict import Source, Window

# No overlay has a longer side; rows and columns are left out until it fits.
LONGEST = 4096
# About how much is read, or drawn, at once.
_BYTES = 32 << 20

Array = NDArray[Any]


@dataclass(frozen=True)
class Reading:
    """How the pixels of a result say which class they have.

    Attributes:
        classes: maps that the model gives; 1: there is one class.
        probabilities: whether the result holds these, and not labels.
        threshold: of one class.
        most: what a probability of 1 is stored as.
        nothing: the label of pixels where nothing was predicted; None: there are none.
    """

    classes: int
    probabilities: bool = False
    threshold: float = 0.5
    most: float = 1.0
    nothing: float | None = None

    def __call__(self, pixels: Array) -> NDArray[np.int64]:
        """(h, w, C) -> (h, w): the class; -1 where nothing was predicted."""
        if self.probabilities:
            missing = np.isnan(pixels[..., 0]) if pixels.dtype.kind == "f" else np.zeros(pixels.shape[:2], bool)
            if self.classes == 1:
                found = (pixels[..., 0] > self.threshold * self.most).astype(np.int64)
            else:
                found = np.asarray(pixels.argmax(axis=2), np.int64)
        else:
            labels = pixels[..., 0]
            missing = np.zeros(labels.shape, bool) if self.nothing is None else labels == self.nothing
            found = (labels > 0).astype(np.int64) if self.classes == 1 else labels.astype(np.int64)
        return np.where(missing, -1, found)


def write_overlay(image: Source, result: Source, reading: Reading, legend: Legend, target: Path | None) -> Counter[int]:
    """Draw the classes over the picture, beside its place, and move it there.

    Args:
        image: the picture.
        result: its mask or probabilities, whose sides may be in a fixed ratio to the picture's.
        reading: which class its pixels have.
        legend: colours.
        target: the PNG; None: nothing is drawn.

    Returns:
        How many pixels of the result have each class; -1: nothing was predicted.
    """
    height, width, _ = image.shape
    step = math.ceil(max(height, width) / LONGEST)
    rows, columns = np.arange(0, height, step), np.arange(0, width, step)
    there = rows * result.shape[0] // height, columns * result.shape[1] // width
    classes, counts = _sampled_classes(result, *there, reading)
    if target is None:
        return counts
    shown = _background(image, rows, columns)
    drawn = np.empty_like(shown)
    lines = line_width(classes.shape)
    tall = max(1, _BYTES // (12 * len(columns)))
    for top in range(0, len(rows), tall):
        # Outlines look as far as they are wide.
        first, last = max(0, top - lines), min(len(rows), top + tall + lines)
        labels = np.maximum(classes[first:last], -1)
        part = _with_gaps(shown[first:last], labels, legend, lines)
        bottom = min(top + tall, len(rows))
        drawn[top:bottom] = part[top - first : bottom - first]
    beside = written_whole(target)
    Image.fromarray(drawn).save(beside, format="PNG")
    os.replace(beside, target)
    return counts


def _with_gaps(background: Bytes, classes: NDArray[np.int64], legend: Legend, lines: int) -> Bytes:
    """As `draw_overlay`, with pixels left as they are where nothing was predicted."""
    found = draw_overlay(background, np.maximum(classes, 0), legend, width=lines)
    return np.where((classes < 0)[..., None], background, found)


def _sampled_classes(
    result: Source, rows: Array, columns: Array, reading: Reading
) -> tuple[NDArray[np.int64], Counter[int]]:
    sampled = np.empty((len(rows), len(columns)), np.int64)
    counts: Counter[int] = Counter()
    for window in _stripes(result):
        classes = reading(result.read(window))
        values, numbers = np.unique(classes, return_counts=True)
        counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
        first, last = np.searchsorted(rows, (window.row, window.row + window.height))
        sampled[first:last] = classes[rows[first:last] - window.row][:, columns]
    return sampled, counts


def _background(image: Source, rows: Array, columns: Array) -> Bytes:
    """The picture as a screen shows it: (h, w, 3). 8-bit colours stay as they are, all else is stretched."""
    colours = getattr(image, "colours", "none")
    bands = 3 if colours == "rgb" and image.shape[2] >= 3 else 1
    sampled = np.empty((len(rows), len(columns), bands), image.dtype)
    for window in _stripes(image):
        first, last = np.searchsorted(rows, (window.row, window.row + window.height))
        if last > first:
            pixels = image.read(window)
            sampled[first:last] = pixels[rows[first:last] - window.row][:, columns, :bands]
    if bands == 3 and image.dtype == np.uint8:
        found: Bytes = sampled
        return found
    values = np.nan_to_num(sampled.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return np.ascontiguousarray(np.broadcast_to(to_bytes(stretch(values)), (len(rows), len(columns), 3)))


def _stripes(source: Source) -> list[Window]:
    height, width, channels = source.shape
    tall = max(1, _BYTES // (width * channels * max(8, source.dtype.itemsize)))
    return [Window(row, 0, min(tall, height - row), width) for row in range(0, height, tall)]
