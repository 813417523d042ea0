"""``smp predict``: masks, probabilities, outlines and overlays of picture files, with a saved model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import typer

import smp_core
from smp_cli.console import print_error, print_line
from smp_cli.errors import CliError, explain
from smp_cli.files import Job, written_whole
from smp_cli.legend import Legend, read_legend
from smp_cli.progress import shown_progress
from smp_cli.sheet import Entry, write_sheet
from smp_cli.sketch import Reading, write_overlay
from smp_core import SegmentationModel
from smp_core.inputs import Preprocessing
from smp_predict import Options, Outcome, Placement, Result, Source, open_source, predict_many
from smp_predict.formats import writer_for
from smp_predict.protocols import placement_of
from smp_predict.scratch import move

# A mask of one class that is looked at: white. In files for programs the class is 1.
_WHITE = 255


@dataclass(frozen=True)
class Wanted:
    """What is asked for on the command line.

    Attributes:
        output: ``"labels"``, ``"probabilities"`` or ``"polygons"``.
        classes: names, as `smp_cli.legend.read_legend` takes them.
        overlays: whether to draw them.
        sheet: whether to write the contact sheet.
        resume: whether to go on where a former run was cut.
        engine, workers, address: see `smp_predict.predict_many`.
    """

    output: str = "labels"
    classes: str | None = None
    overlays: bool = True
    sheet: bool = False
    resume: bool = True
    engine: Literal["ray"] | None = None
    workers: int | None = None
    address: str | None = None


def predict_files(jobs: Sequence[Job], model_folder: Path, out: Path, options: Options, wanted: Wanted) -> None:
    """Write what is wanted of every picture.

    Those that fail are listed at the end. Files of an earlier run are replaced, each all at once.

    Raises:
        CliError: see `load_model`.
        SmpError: the folder does not hold a model that can be built.
        OptionError: an option that does not fit the model.
        typer.Exit: some failed, and it is said which.
    """
    model = load_model(model_folder)
    legend = read_legend(wanted.classes, model.config["classes"])
    maps = model.config["classes"]
    if options.output == "probabilities" and maps > 1 and jobs[0].result.suffix == ".png":
        raise CliError(f"a PNG holds the probabilities of one class, the model has {maps}: choose another --format")
    if preprocessing_of(model) is None:
        done = "only scaled to 0..1" if options.scale is None else f"only divided by {options.scale:g}"
        print_error(f"note: the model does not say how its input is normalised; pixels are {done}")
    if out.exists() and not out.is_dir():
        raise CliError(f"--out {str(out)!r} is a file; expected a folder, in which each result has a name of its own")
    out.mkdir(parents=True, exist_ok=True)
    writing = _Writing(model, out, options, wanted, legend)
    try:
        with shown_progress(len(jobs)) as progress:
            for settings, some in _runs(jobs, options, model):
                by_name = {job.result.relative_to(out).as_posix(): job for job in some}
                writing.begin(settings, by_name)
                sources = {name: job.image for name, job in by_name.items()}
                predict_many(
                    model,
                    sources,
                    out,
                    options=settings,
                    resume=wanted.resume,
                    engine=wanted.engine,
                    workers=wanted.workers,
                    address=wanted.address,
                    finished=writing.finished,
                    progress=progress,
                )
    finally:  # what is done is said, also where a run is interrupted
        writing.report()
    if writing.failures:
        if len(jobs) > 1:
            print_error(f"error: {len(writing.failures)} of {len(jobs)} images failed; the others are done")
        raise typer.Exit(1)


def load_model(folder: Path) -> SegmentationModel:
    """Load a saved model from a folder.

    Raises:
        CliError: the model's result is no mask.
        SmpError: the folder does not hold a model that can be built.
    """
    model = smp_core.from_pretrained(folder)
    activation, classes = model.config["activation"], model.config["classes"]
    if classes == 1 and activation in ("softmax", "softmax2d", "logsoftmax", "argmax", "argmax2d"):
        raise CliError(
            f"this model has one class and the activation {activation!r}: it gives every pixel the same score"
        )
    return model


def preprocessing_of(model: SegmentationModel) -> Preprocessing | None:
    """The model's preprocessing, where there is one for as many channels as the model takes.

    That of pretrained weights is for three channels, and says nothing about a model that was built for another number.
    """
    channels = model.in_channels or int(model.config["in_channels"])
    preprocessing = model.preprocessing
    return preprocessing if preprocessing and len(preprocessing.mean) == channels else None


def _runs(jobs: Sequence[Job], options: Options, model: SegmentationModel) -> list[tuple[Options, list[Job]]]:
    """Options for pictures to look at, and for files that programs read on."""
    pictures = [job for job in jobs if job.result.suffix == ".png"]
    others = [job for job in jobs if job.result.suffix != ".png"]
    for_pictures = options
    if options.output == "probabilities":
        for_pictures = replace(options, output_dtype="uint8")
    elif model.config["classes"] == 1 and options.nodata in ("source", None):
        for_pictures = replace(options, foreground=_WHITE)
    runs = [(for_pictures, pictures), (options, others)]
    return [(settings, some) for settings, some in runs if some]


class _Writing:
    """What is written of each picture once its mask is there, and what is said of it."""

    def __init__(self, model: SegmentationModel, out: Path, options: Options, wanted: Wanted, legend: Legend) -> None:
        self._classes, self._out, self._wanted, self._legend = int(model.config["classes"]), out, wanted, legend
        self._options, self._jobs = options, dict[str, Job]()
        self.entries: list[Entry] = []
        self.failures: list[str] = []

    def begin(self, options: Options, jobs: dict[str, Job]) -> None:
        """The options of the pictures that come now."""
        self._options, self._jobs = options, jobs

    def finished(self, outcome: Outcome) -> None:
        """A mask is in its place, or there will be none."""
        job, error = self._jobs[outcome.name], outcome.error
        if error is None:
            try:
                self.entries.append(self._beside(job))
            except Exception as found:  # libraries for files raise what they like; the other pictures go on
                error = found
        if error is not None:
            text = explain(error)
            self.failures.append(text if str(job.image) in text else f"{str(job.image)!r}: {text}")

    def report(self) -> None:
        """Say what was written, and then what failed."""
        sheet = None
        if self._wanted.sheet and self.entries:  # before anything is said: whoever reads it may stop
            drawn = [index for index in range(max(2, self._classes)) if self._legend.colour(index)]
            sheet = write_sheet(self._out, self.entries, self.failures, self._legend, drawn)
        for entry in self.entries:
            first, *others = entry.results
            beside = [path.name for path in others] + ([entry.overlay.name] if self._wanted.overlays else [])
            print_line(f"{entry.image} -> {', '.join([str(first), *beside])}: {entry.summary}")
        if sheet is not None:
            print_line(str(sheet))
        for text in self.failures:
            print_error(f"error: {text}")

    def _beside(self, job: Job) -> Entry:
        """Write overlay and polygons."""
        result = open_source(job.result)
        reading = self._reading(result)
        image = open_source(job.image) if self._wanted.overlays else result
        counts = write_overlay(image, result, reading, self._legend, job.overlay if self._wanted.overlays else None)
        results = [job.result]
        if self._wanted.output == "polygons":
            _write_polygons(job, result, reading, self._legend)
            results.append(job.polygons)
        return Entry(job.image, job.overlay, tuple(results), self._summary(counts))

    def _reading(self, result: Source) -> Reading:
        probabilities = self._options.output == "probabilities"
        nothing = None if probabilities else placement_of(result).nodata
        # Of several classes none has the largest label.
        if nothing is None and not probabilities and (self._classes > 1 or isinstance(self._options.nodata, float)):
            nothing = float(np.iinfo(result.dtype).max)
        most = {"uint8": 255.0, "uint16": 65535.0}.get(result.dtype.name, 1.0)
        return Reading(self._classes, probabilities, self._options.threshold, most, nothing)

    def _summary(self, counts: Counter[int]) -> str:
        total = sum(counts.values())
        if self._classes == 1 and not self._legend.names and -1 not in counts:
            return f"{100 * counts[1] / total:.1f} % of the pixels"
        names = {-1: "nothing predicted", **{index: self._legend.name(index) for index in counts if index >= 0}}
        return ", ".join(f"{names[index]} {100 * counts[index] / total:.1f} %" for index in sorted(counts))


def _write_polygons(job: Job, labels: Source, reading: Reading, legend: Legend) -> None:
    names = dict(enumerate(legend.names))
    if reading.classes == 1 and len(names) == 2:
        names = {1: names[1], _WHITE: names[1]}
    placement = placement_of(labels)
    result = Result(labels, True, Placement(placement.crs, placement.transform), reading.nothing, names)
    beside = written_whole(job.polygons)
    try:
        writer_for(job.polygons)(beside, result)
        move(beside, job.polygons)
    finally:
        beside.unlink(missing_ok=True)
