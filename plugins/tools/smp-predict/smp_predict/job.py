"""One image on its way through the model: batches across rows of tiles, blocks written as they are finished."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from smp_predict.assembling import Assembler, Block
from smp_predict.errors import PredictError, SinkError
from smp_predict.finishing import Finisher
from smp_predict.formats import Writer, writer_for
from smp_predict.grid import Blend, Swath, scaled, swaths
from smp_predict.progress import Progress, Report
from smp_predict.protocols import Array, Result, Sink, Source, placement_of
from smp_predict.running import Runner
from smp_predict.scratch import Checkpoint, RawPixels, Scratch, move, opened
from smp_predict.tiles import Layout, Nodata, ReadAhead, Tile, cut

# What the open parts of an image may take, in bytes: the sums between two rows of tiles, and twice the rows that are
# read. Wide images see some tiles twice for it, one in nine for 20 classes.
_BUDGET = 48 << 20

# By which a folder is known to be a Zarr array or group.
_OF_ZARR = ("zarr.json", ".zarray", ".zgroup")

# How many batches lie between two checkpoints, at least: the last of them is not full.
_BATCHES = 16


@dataclass(frozen=True)
class Job:
    """One image, and all that is known about how it is predicted."""

    source: Source
    layout: Layout
    runner: Runner
    finish: Finisher
    blend: Blend
    ratio: Fraction
    classes: int
    nodata: Nodata | None
    batch_size: int
    report: Report | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        height, width = (math.ceil(side * self.ratio) for side in self.source.shape[:2])
        channels = self.finish.channels
        return (height, width) if channels is None else (height, width, channels)

    @property
    def tiles(self) -> int:
        """How many tiles the image has, those counted once that two swaths predict."""
        return self.layout.rows.count * self.layout.columns.count

    def assembler(self, swath: Swath, carry: Array | None = None, former: Assembler | None = None) -> Assembler:
        """What blends the tiles of a swath, from the sums on that ``carry`` holds, in the memory of a former one."""
        rows, columns = scaled(self.layout.rows, self.ratio), scaled(self.layout.columns, self.ratio)
        end = columns.length if swath.last == columns.count else int(swath.end * self.ratio)
        there = Swath(swath.first, swath.last, int(swath.begin * self.ratio), end)
        device = self.runner.device
        found = Assembler(rows, columns, there, classes=self.classes, blend=self.blend, device=device, former=former)
        if carry is not None:
            found.carry.copy_(torch.from_numpy(carry))
        return found

    def blended(self, tile: Tile, scores: Tensor | None, assembler: Assembler) -> Block | None:
        """Give an assembler the scores of a tile, without those of its context; what is finished by it."""
        if scores is not None:
            down, across = (
                slice(int(part.start * self.ratio), int(part.stop * self.ratio))
                for part in self.layout.own(tile.row, tile.column)
            )
            scores = scores[:, down, across]
        return assembler.add(tile.row, tile.column, scores, tile.missing)

    @property
    def swath_width(self) -> int:
        """How many columns of the image may be open at once."""
        sums = 4 * (self.classes + 1) * max(1, self.layout.rows.overlap) * self.ratio**2
        read = 2 * self.source.shape[2] * self.source.dtype.itemsize * self.layout.rows.seen
        return int(_BUDGET / (sums + read))


def to_file(job: Job, target: Path, settings: dict[str, object], *, resume: bool) -> None:
    """Predict into a file, from where a former run with the same settings was cut."""
    write = writer_for(target)
    refuse_folder(target)
    with (
        as_sink_errors(target),
        Scratch(target, settings, resume=resume) as scratch,
        opened(RawPixels(scratch.pixels, job.shape, job.finish.dtype)) as pixels,
    ):
        run(job, pixels, scratch)
        finish_file(job, pixels, scratch, target, write)


def refuse_own_source(source: object, sink: object) -> None:
    """Raise SinkError where a result would take the place of the image that it is of; links to it give way."""
    if not (isinstance(source, (str, os.PathLike)) and isinstance(sink, (str, os.PathLike))):
        return
    image, result = Path(source), Path(sink)
    if image.name == result.name and image.parent.resolve() == result.parent.resolve():
        raise SinkError(f"{os.fspath(sink)!r} is the image itself: give the result another name")


def refuse_folder(target: Path) -> None:
    """Raise SinkError where a folder has the name of a result, and is none that a result was written as."""
    if not target.is_dir() or target.is_symlink() or not any(target.iterdir()):
        return
    if target.suffix.lower() != ".zarr" or not any((target / name).is_file() for name in _OF_ZARR):
        raise SinkError(
            f"{str(target)!r} is a folder with other things in it: move it, or give the result another name"
        )


@contextmanager
def as_sink_errors(target: Path) -> Iterator[None]:
    """Raise what the system says as SinkError that names the target.

    Raises:
        SinkError: the folder does not exist, or cannot be written.
    """
    if not target.parent.is_dir():
        raise SinkError(f"cannot write {str(target)!r}: the folder {str(target.parent)!r} does not exist")
    try:
        yield
    except OSError as error:
        if isinstance(error, PredictError):
            raise
        raise SinkError(f"cannot write {str(target)!r}: {error.strerror or error}") from error


def finish_file(job: Job, pixels: Source, scratch: Scratch, target: Path, write: Writer) -> None:
    """Write what is predicted in the target's format, and give it its name."""
    placement = placement_of(job.source).scaled(float(job.ratio))
    fill = None if job.nodata is None else job.finish.fill
    scratch.clear_output()
    write(scratch.output, Result(pixels, len(job.shape) == 2, placement, fill))
    move(scratch.output, target)
    scratch.remove()


def run(job: Job, sink: Sink | RawPixels, scratch: Scratch | None) -> None:
    """Predict into a sink; with a scratch folder, from its checkpoint on."""
    layout = job.layout
    progress = Progress.start(layout, list(swaths(layout.columns, job.swath_width)), job.shape)
    begin = scratch.checkpoint if scratch else Checkpoint()
    batch_size = begin.batch_size or job.batch_size
    assembler: Assembler | None = None
    for index, swath in enumerate(progress.swaths):
        if index < begin.swath:
            progress = progress.skipped(swath, layout.rows.count)
            continue
        first = begin.row if index == begin.swath else 0
        progress = progress.skipped(swath, first)
        assembler = job.assembler(swath, scratch.carry() if first and scratch else None, assembler)
        batch_size, progress = _run_swath(job, (index, swath, first), assembler, sink, scratch, batch_size, progress)


def rows_per_checkpoint(swath: Swath, batch_size: int) -> int:
    """How many rows of tiles lie between two checkpoints of a swath."""
    return math.ceil(_BATCHES * batch_size / (swath.last - swath.first))


def _run_swath(
    job: Job,
    place: tuple[int, Swath, int],
    assembler: Assembler,
    sink: Sink | RawPixels,
    scratch: Scratch | None,
    batch_size: int,
    progress: Progress,
) -> tuple[int, Progress]:
    index, swath, first = place
    per_checkpoint = rows_per_checkpoint(swath, batch_size)
    waiting: list[Tile] = []
    with ReadAhead(cut(job.source, job.layout, swath, first, job.nodata), 2 * batch_size) as tiles:
        for tile in tiles:
            waiting.append(tile)
            ends_row = tile.column == swath.last - 1
            ends_swath = ends_row and tile.row == job.layout.rows.count - 1
            # Batches begin anew at a checkpoint, so that a run that goes on from there makes the same ones.
            stops = ends_swath or (ends_row and (tile.row + 1) % per_checkpoint == 0)
            if stops or sum(item.pixels is not None for item in waiting) == batch_size:
                batch_size = _run_batch(job, waiting, assembler, sink, batch_size)
                progress = progress.advanced(len(waiting))
                waiting = []
                if job.report:
                    job.report(progress)
            if stops and scratch is not None and isinstance(sink, RawPixels):
                sink.sync()
                done = Checkpoint(index + ends_swath, 0 if ends_swath else tile.row + 1, batch_size)
                scratch.save(done, None if ends_swath else assembler.carry.cpu().numpy())
    return batch_size, progress


def _run_batch(job: Job, tiles: list[Tile], assembler: Assembler, sink: Sink | RawPixels, batch_size: int) -> int:
    present = [tile.pixels for tile in tiles if tile.pixels is not None]
    found, batch_size = job.runner(present, batch_size) if present else ([], batch_size)
    scores = iter(found)
    for tile in tiles:
        block = job.blended(tile, None if tile.pixels is None else next(scores), assembler)
        if block is not None:
            sink.write(block.window, job.finish(block))
    return batch_size
