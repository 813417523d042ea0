"""How far a run is: tiles done, throughput and the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from smp_predict.errors import OptionError
from smp_predict.grid import Swath


class _Counted(Protocol):
    @property
    def count(self) -> int: ...


class _Sides(Protocol):
    @property
    def rows(self) -> _Counted: ...


@dataclass(frozen=True)
class Progress:
    """A moment of a run.

    Attributes:
        done, total: tiles; those that a former run had finished count as done.
        pixels: of the result.
        seconds: since this run began.
        fresh: tiles that this run has done.
        swaths: the columns that are predicted one after the other.
    """

    done: int
    total: int
    pixels: int
    fresh: int
    began: float
    swaths: tuple[Swath, ...]

    @classmethod
    def start(cls, layout: _Sides, swaths: Sequence[Swath], shape: Sequence[int]) -> Progress:
        """Nothing is done yet."""
        total = sum(item.last - item.first for item in swaths) * layout.rows.count
        return cls(0, total, shape[0] * shape[1], 0, time.monotonic(), tuple(swaths))

    @property
    def seconds(self) -> float:
        """Since this run began."""
        return time.monotonic() - self.began

    @property
    def megapixels_per_second(self) -> float:
        """Throughput of this run, in millions of pixels of the result."""
        return self.fresh / self.total * self.pixels / 1e6 / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take at this throughput; None: nobody knows yet."""
        return None if not self.fresh else (self.total - self.done) * self.seconds / self.fresh

    def skipped(self, swath: Swath, rows: int) -> Progress:
        """With rows of a swath that a former run had finished."""
        return replace(self, done=self.done + rows * (swath.last - swath.first))

    def advanced(self, tiles: int) -> Progress:
        """With tiles that this run has done."""
        return replace(self, done=self.done + tiles, fresh=self.fresh + tiles)


Report = Callable[[Progress], None]


def reporter(progress: bool | Report) -> Report | None:
    """What to call after each batch.

    Raises:
        OptionError: neither a bool nor a function.
    """
    if callable(progress):
        return progress
    if not isinstance(progress, bool):
        raise OptionError(f"progress must be True, False or a function of Progress, got {progress!r}")
    return _Line() if progress else None


class _Line:
    """One line on standard error, twice a second."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        now, finished = time.monotonic(), progress.done == progress.total
        if now - self._last < 0.5 and not finished:
            return
        self._last = now
        left = progress.seconds_left
        text = f"{100 * progress.done / progress.total:5.1f} %, {progress.megapixels_per_second:.2f} megapixels/s"
        text += "" if left is None else f", {left:.0f} s left"
        sys.stderr.write(f"\r{text:<60}" + ("\n" if finished else ""))
        sys.stderr.flush()
