"""What a worker process does of a run over many images; nothing here knows how it was started."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from smp_predict.channels import is_whole
from smp_predict.errors import PredictError
from smp_predict.formats import writer_for
from smp_predict.groups import Group
from smp_predict.job import Job, as_sink_errors, finish_file, to_file
from smp_predict.options import Options
from smp_predict.pieces import Mosaic, Piece, piece_path, pieces_of, run_piece
from smp_predict.planning import Given, planner
from smp_predict.running import Model
from smp_predict.scratch import Checkpoint, Scratch
from smp_predict.tally import Outcome, Tally


@dataclass(frozen=True)
class Large:
    """An image that several workers share.

    Attributes:
        name: of the result.
        given: the image.
        pieces: all of it.
        done: the indices of those that a former run had finished.
        settings: everything that the result depends on.
    """

    name: str
    given: Given
    pieces: tuple[Piece, ...]
    done: frozenset[int]
    settings: dict[str, object]

    @property
    def pixels(self) -> int:
        """Of the result."""
        return sum(piece.window.height * piece.window.width for piece in self.pieces)


class Worker:
    """Runs groups of images, and pieces of large ones.

    Args:
        model: see `smp_predict.predict`.
        options: how images are predicted.
        folder: of results; every worker sees it, and the images, under the same paths.
        resume: whether what former runs have finished is kept.
    """

    def __init__(self, model: Model, options: Options, folder: Path, *, resume: bool) -> None:
        self._stack = ExitStack()
        self._plan = self._stack.enter_context(planner(model, options))
        self._folder, self._resume = folder, resume

    def group(self, items: Mapping[str, Given], kept: frozenset[str]) -> tuple[list[Outcome], list[Large]]:
        """Predict the images of a group, all but the large ones, which are divided.

        Args:
            items: the images.
            kept: names of results that a former run had finished; large images among them are left alone.
        """
        large: list[Large] = []
        tally = Tally(len(items))

        def divide(name: str, given: Given, job: Job) -> None:
            target = self._folder / name
            if name in kept:
                tally.finished(Outcome(name, given, target, kept=True))
            elif is_whole(job.source):
                # Every piece would decode all of it.
                to_file(job, target, self._plan.settings(job, given), resume=self._resume)
                tally.finished(Outcome(name, given, target))
            else:
                large.append(self._divided(name, given, job))

        with torch.inference_mode():
            Group(self._plan, self._folder, divide, tally).run(items)
        return [_portable(outcome) for outcome in tally.outcomes], large

    def piece(self, large: Large, piece: Piece) -> None:
        """Predict a piece of an image."""
        with torch.inference_mode():
            job = self._plan.job(large.given)
            with Scratch(self._folder / large.name, large.settings, resume=True, shared=True) as scratch:
                run_piece(job, piece, piece_path(scratch.folder, piece.index))

    def merge(self, large: Large) -> Outcome:
        """Make the result of all pieces."""
        target = self._folder / large.name
        with torch.inference_mode():
            job = self._plan.job(large.given)
        with as_sink_errors(target), Scratch(target, large.settings, resume=True) as scratch:
            finish_file(job, Mosaic(job, list(large.pieces), scratch.folder), scratch, target, writer_for(target))
        return Outcome(large.name, large.given, target)

    def _divided(self, name: str, given: Given, job: Job) -> Large:
        pieces = tuple(pieces_of(job))
        settings = {**self._plan.settings(job, given), "pieces": len(pieces)}
        target = self._folder / name
        with as_sink_errors(target), Scratch(target, settings, resume=self._resume) as scratch:
            scratch.save(Checkpoint(), None)
            there = [piece.index for piece in pieces if piece_path(scratch.folder, piece.index).exists()]
        return Large(name, given, pieces, frozenset(there), settings)


def _portable(outcome: Outcome) -> Outcome:
    """An outcome whose error can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(outcome.error))  # noqa: S301  # of what was pickled here
    except Exception:  # a stranger's exception, whatever keeps it from being pickled
        return replace(outcome, error=PredictError(f"{type(outcome.error).__name__}: {outcome.error}"))
    return outcome
