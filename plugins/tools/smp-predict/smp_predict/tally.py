"""What has become of many images so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smp_predict.planning import Given
from smp_predict.progress import Progress, Report


@dataclass(frozen=True)
class Outcome:
    """What has become of one image.

    Attributes:
        name: of the result, relative to the folder of results.
        source: the image as it was given.
        target: where the result is.
        error: why there is none; None: there is one.
        kept: a former run had finished it, and nothing was done.
    """

    name: str
    source: Given
    target: Path
    error: Exception | None = None
    kept: bool = False


@dataclass(frozen=True)
class ManyProgress:
    """A moment of a run over many images.

    Attributes:
        images: how many there are.
        done: how many have come to their end, well or not; a fraction counts of one that fills batches of its own.
        megapixels: of results that this run has finished, in millions.
        seconds: since the run began.
        name: of the result that was worked on last.
    """

    images: int
    done: float
    megapixels: float
    seconds: float
    name: str

    @property
    def megapixels_per_second(self) -> float:
        """Throughput of this run."""
        return self.megapixels / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take where images are alike; None: nobody knows yet."""
        return (self.images - self.done) * self.seconds / self.done if self.done else None


class Tally:
    """Counts what is done, and tells of it.

    Args:
        images: how many there are.
        finished: called with each `Outcome`.
        progress: called with `ManyProgress` after each batch.
    """

    def __init__(
        self,
        images: int,
        finished: Callable[[Outcome], None] | None = None,
        progress: Callable[[ManyProgress], None] | None = None,
    ) -> None:
        self.outcomes: list[Outcome] = []
        self._images, self._finished, self._progress = images, finished, progress
        self._began = time.monotonic()
        self._megapixels = 0.0
        self._underway: dict[str, tuple[float, float]] = {}
        self._name = ""

    def finished(self, outcome: Outcome) -> None:
        """An image has come to its end."""
        _, megapixels = self._underway.pop(outcome.name, (0.0, 0.0))
        self._megapixels += megapixels
        self.outcomes.append(outcome)
        if self._finished:
            self._finished(outcome)
        self._tell(outcome.name)

    def pixels(self, count: int) -> None:
        """So many pixels of a result are finished."""
        self._megapixels += count / 1e6
        self._tell(self._name)

    def report(self, name: str) -> Report:
        """What an image is told to that fills batches of its own."""

        def report(progress: Progress) -> None:
            self.underway(name, progress.done / progress.total, progress.fresh / progress.total * progress.pixels)

        return report

    def underway(self, name: str, fraction: float, pixels: float) -> None:
        """A part of an image is done, and this run has finished so many of its pixels."""
        self._underway[name] = (min(fraction, 1.0), pixels / 1e6)
        self._tell(name)

    def _tell(self, name: str) -> None:
        self._name = name
        if self._progress:
            done = len(self.outcomes) + sum(fraction for fraction, _ in self._underway.values())
            megapixels = self._megapixels + sum(size for _, size in self._underway.values())
            seconds = time.monotonic() - self._began
            self._progress(ManyProgress(self._images, done, megapixels, seconds, name))
