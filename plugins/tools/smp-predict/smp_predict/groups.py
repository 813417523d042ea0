"""Several images on their way through the model at once: small ones share their batches.

Images come in groups of consecutive ones, and batches begin anew with each group, so that a group gives the same
results whoever runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from smp_predict.assembling import Assembler
from smp_predict.errors import OptionError
from smp_predict.formats import writer_for
from smp_predict.grid import Swath, swaths
from smp_predict.job import Job, as_sink_errors, finish_file, refuse_folder, refuse_own_source
from smp_predict.planning import Given, Planner, open_given
from smp_predict.protocols import Array, Source
from smp_predict.scratch import RawPixels, Scratch
from smp_predict.tally import Outcome, Tally
from smp_predict.tiles import ReadAhead, Tile, cut

# How many consecutive images are a group.
SIZE = 8

# An image of so many batches fills its own: it is run alone, resumes where it was cut, and can be divided.
LARGE = 16


def groups(items: Mapping[str, Given]) -> Iterator[dict[str, Given]]:
    """Consecutive images, some at a time."""
    names = list(items)
    for first in range(0, len(names), SIZE):
        yield {name: items[name] for name in names[first : first + SIZE]}


def is_large(job: Job) -> bool:
    """Whether an image fills batches of its own."""
    return job.tiles > LARGE * job.batch_size


@dataclass(eq=False)
class _Image:
    """A small image whose tiles wait in a batch with those of others."""

    name: str
    given: Given
    job: Job
    target: Path
    scratch: Scratch
    pixels: RawPixels
    left: int
    failed: bool = False

    def discard(self) -> None:
        """Forget what is done of it."""
        self.pixels.close()
        self.scratch.remove()


@dataclass(frozen=True)
class _Waiting:
    image: _Image
    assembler: Assembler
    tile: Tile


class Group:
    """Runs the images of a group.

    Args:
        planner: the model.
        folder: where the results go.
        large: what is done with an image that fills batches of its own: called with its name, how it was given, and its
            job, where batches begin anew.
        tally: is told of what is done.
    """

    def __init__(self, planner: Planner, folder: Path, large: Callable[[str, Given, Job], None], tally: Tally) -> None:
        self._planner, self._folder, self._large, self._tally = planner, folder, large, tally
        self._waiting: list[_Waiting] = []
        self._open: list[_Image] = []
        self._batch_size = 0

    def run(self, items: Mapping[str, Given]) -> None:
        """Predict every image; those that fail are told to the tally, and the others go on.

        Raises:
            OptionError: an argument makes no sense, which all images would share.
        """
        try:
            for name, given, opened in _opened_ahead(items):
                self._try(name, given, opened)
            self._flush()
        finally:  # what is half done is of no use: a group that is cut begins anew
            for image in self._open:
                image.discard()

    def _try(self, name: str, given: Given, opened: Future[Source]) -> None:
        try:
            self._add(name, given, opened)
        except OptionError:
            raise
        except Exception as error:  # decoders, formats and models of others raise what they like
            self._tally.finished(Outcome(name, given, self._folder / name, error))

    def _add(self, name: str, given: Given, opened: Future[Source]) -> None:
        target = self._folder / name
        refuse_own_source(given, target)
        writer_for(target)
        refuse_folder(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        job = self._planner.job(opened.result(), self._tally.report(name))
        if is_large(job):
            self._flush()
            self._large(name, given, job)
            return
        if self._waiting and not _batches_with(self._waiting[0].image.job, job):
            self._flush()
        if not self._waiting:
            self._batch_size = job.batch_size
        with as_sink_errors(target):
            scratch = Scratch(target, {"group": True}, resume=False)
            pixels = RawPixels(scratch.pixels, job.shape, job.finish.dtype)
        parts = list(swaths(job.layout.columns, job.swath_width))
        left = sum(part.last - part.first for part in parts) * job.layout.rows.count
        image = _Image(name, given, job, target, scratch, pixels, left)
        self._open.append(image)
        try:
            for swath in parts:
                self._read(image, swath)
        except OptionError:
            raise
        except Exception as error:  # of its reader
            self._fail(image, error)

    def _read(self, image: _Image, swath: Swath) -> None:
        job = image.job
        assembler = job.assembler(swath)
        with ReadAhead(cut(job.source, job.layout, swath, 0, job.nodata), 2 * job.batch_size) as tiles:
            for tile in tiles:
                if image.failed:
                    return
                self._waiting.append(_Waiting(image, assembler, tile))
                if sum(item.tile.pixels is not None for item in self._waiting) == self._batch_size:
                    self._flush()

    def _flush(self) -> None:
        """Run what waits."""
        waiting = [item for item in self._waiting if not item.image.failed]
        self._waiting = []
        if not waiting:
            return
        present = [item.tile.pixels for item in waiting if item.tile.pixels is not None]
        try:
            found, self._batch_size = self._runner(waiting, present)
        except OptionError:
            raise
        except Exception as error:  # the model's: nobody knows which of the images it concerns
            for item in waiting:
                self._fail(item.image, error)
            return
        scores = iter(found)
        for item in waiting:
            self._give(item, None if item.tile.pixels is None else next(scores))

    def _give(self, item: _Waiting, scores: Tensor | None) -> None:
        try:
            done = self._assemble(item, scores)
        except Exception as error:  # of its writer
            self._fail(item.image, error)
            return
        if done is not None:
            self._tally.finished(done)

    def _runner(self, waiting: Sequence[_Waiting], present: Sequence[Array]) -> tuple[list[Tensor], int]:
        return waiting[0].image.job.runner(present, self._batch_size) if present else ([], self._batch_size)

    def _assemble(self, item: _Waiting, scores: Tensor | None) -> Outcome | None:
        """Blend a tile in; the outcome where it was the image's last."""
        image = item.image
        if image.failed:
            return None
        with as_sink_errors(image.target):
            block = image.job.blended(item.tile, scores, item.assembler)
            if block is not None:
                image.pixels.write(block.window, image.job.finish(block))
                self._tally.pixels(block.window.height * block.window.width)
            image.left -= 1
            if image.left:
                return None
            finish_file(image.job, image.pixels, image.scratch, image.target, writer_for(image.target))
            image.pixels.close()
            self._open.remove(image)
            return Outcome(image.name, image.given, image.target, None)

    def _fail(self, image: _Image, error: Exception) -> None:
        if not image.failed:
            image.failed = True
            image.discard()
            self._open.remove(image)
            self._tally.finished(Outcome(image.name, image.given, image.target, error))


def _batches_with(first: Job, second: Job) -> bool:
    """Whether tiles of two images may share a batch."""
    sides = [(job.layout.rows.seen, job.layout.columns.seen) for job in (first, second)]
    kinds = [(job.source.shape[2], job.source.dtype, job.batch_size) for job in (first, second)]
    return sides[0] == sides[1] and kinds[0] == kinds[1]


def _opened_ahead(items: Mapping[str, Given]) -> Iterator[tuple[str, Given, Future[Source]]]:
    """Each image with its source, while a thread opens the next one: pictures are decoded as a whole."""
    with ThreadPoolExecutor(1, thread_name_prefix="smp-predict-opener") as pool:
        waiting: list[tuple[str, Given, Future[Source]]] = []
        for name, given in items.items():
            waiting.append((name, given, pool.submit(open_given, given)))
            if len(waiting) > 1:
                yield waiting.pop(0)
        yield from waiting
