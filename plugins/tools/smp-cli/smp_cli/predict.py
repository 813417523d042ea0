"""``smp predict``: masks and overlays of picture files, with a saved model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import typer
from PIL import Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column
from torch import Tensor

import smp_core
from smp_cli.console import print_error, stderr
from smp_cli.errors import CliError
from smp_cli.files import Job
from smp_cli.images import Bytes, for_display, read_picture, to_channels
from smp_cli.overlay import draw_overlay
from smp_core import SegmentationModel
from smp_core.inputs import Preprocessing

# From which score on a pixel is of the one class, by what the model's last layer makes of a score.
_THRESHOLDS = {None: 0.0, "identity": 0.0, "tanh": 0.0, "sigmoid": 0.5, "clamp": 0.5}


def predict_files(jobs: Sequence[Job], model_folder: Path, out: Path) -> None:
    """Write mask and overlay of every picture.

    A picture that cannot be read stops the run, and what was written before it stays. Files of an earlier run are
    replaced.

    Raises:
        CliError: see `load_model` and `smp_cli.images.read_picture`.
        SmpError: the folder does not hold a model that can be built.
    """
    model = load_model(model_folder)
    if preprocessing_of(model) is None:
        print_error("note: the model does not say how its input is normalised; pixels are only scaled to 0..1")
    out.mkdir(parents=True, exist_ok=True)
    name = TextColumn("{task.description}", table_column=Column(max_width=32, no_wrap=True, overflow="ellipsis"))
    columns = (name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    lines = []
    try:
        with Progress(*columns, console=stderr(), redirect_stdout=False) as progress:
            task = progress.add_task("predicting", total=len(jobs))
            for job in jobs:
                progress.update(task, description=job.image.name)
                lines.append(f"{job.image} -> {job.mask}, {job.overlay.name}: {_predict(model, job)}")
                progress.advance(task)
    finally:  # what is done is said, also where a later picture stops the run
        for line in lines:
            typer.echo(line)


def load_model(folder: Path) -> SegmentationModel:
    """Load a saved model from a folder.

    Raises:
        CliError: the model's result is no mask.
        SmpError: the folder does not hold a model that can be built.
    """
    model = smp_core.from_pretrained(folder)
    activation, classes = model.config["activation"], model.config["classes"]
    if classes == 1 and activation not in _THRESHOLDS:
        raise CliError(
            f"this model has one class and the activation {activation!r}: it gives every pixel the same score"
        )
    if classes > 256:
        raise CliError(f"this model has {classes} classes; an 8-bit mask holds 256")
    return model


def num_channels(model: SegmentationModel) -> int:
    """How many channels the model takes."""
    return model.in_channels or int(model.config["in_channels"])


def preprocessing_of(model: SegmentationModel) -> Preprocessing | None:
    """The model's preprocessing, where there is one for as many channels as the model takes.

    That of pretrained weights is for three channels, and says nothing about a model that was built for another number.
    """
    preprocessing = model.preprocessing
    return preprocessing if preprocessing and len(preprocessing.mean) == num_channels(model) else None


def _predict(model: SegmentationModel, job: Job) -> str:
    """Write the two files of one picture; returns what the mask holds, in words."""
    picture = read_picture(job.image)
    pixels = torch.from_numpy(to_channels(picture, num_channels(model)))[None]
    classes = segment(model, pixels)
    binary = model.config["classes"] == 1
    _write(job.mask, classes * 255 if binary else classes)
    _write(job.overlay, draw_overlay(for_display(picture), classes))
    return _summary(classes, binary=binary)


def segment(model: SegmentationModel, pixels: Tensor) -> Bytes:
    """The class of each pixel.

    Args:
        model: the model; its own preprocessing is applied.
        pixels: (1, C, H, W), in [0, 1].

    Returns:
        (H, W): 0 or 1 for a model of one class, otherwise the index of the class with the largest score.
    """
    preprocessing = preprocessing_of(model)
    result = model.predict(preprocessing(pixels) if preprocessing else pixels)
    # With a classification head the second item is the label of the whole picture.
    scores = result[0] if isinstance(result, tuple) else result
    activation = model.config["activation"]
    if model.config["classes"] == 1:
        classes = scores[0, 0] > _THRESHOLDS[activation]
    elif activation in ("argmax", "argmax2d"):
        classes = scores[0]
    else:
        classes = scores[0].argmax(dim=0)
    return classes.to(torch.uint8).numpy()


def _write(path: Path, pixels: Bytes) -> None:
    Image.fromarray(pixels).save(path)


def _summary(classes: Bytes, *, binary: bool) -> str:
    if binary:
        return f"{100 * classes.mean():.1f} % of the pixels"
    indices, counts = np.unique(classes, return_counts=True)
    return ", ".join(
        f"class {index} {100 * count / classes.size:.1f} %" for index, count in zip(indices, counts, strict=True)
    )
