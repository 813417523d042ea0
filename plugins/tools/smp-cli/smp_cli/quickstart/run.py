"""The demo from beginning to end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

import smp_core
from smp_cli.console import print_error, print_rows, stderr
from smp_cli.errors import CliError
from smp_cli.quickstart.picture import Result, draw
from smp_cli.quickstart.recipe import Recipe, iou, train
from smp_cli.quickstart.sample import Sample, load_sample, write_held_out
from smp_core import SegmentationModel
from smp_core.errors import MissingPluginError

ARCHITECTURE, ENCODER = "unet", "resnet34"


@dataclass(frozen=True)
class Paths:
    """What the demo writes."""

    out: Path

    @property
    def model(self) -> Path:
        return self.out / "model"

    @property
    def overlay(self) -> Path:
        return self.out / "overlay.png"

    @property
    def held_out(self) -> Path:
        return self.out / "held_out.tif"


def run_demo(out: Path, recipe: Recipe, required_iou: float | None) -> None:
    """Train, score, save, load back, compare, draw, and say what came of it.

    Args:
        out: folder to write into, made where it is missing.
        recipe: how to train.
        required_iou: the demo fails below it; None never fails.

    Raises:
        CliError: the loaded model predicts otherwise than the saved one, or the IoU is too low.
        MissingPluginError: the architecture or the encoder is not installed.
    """
    paths = Paths(out)
    out.mkdir(parents=True, exist_ok=True)
    sample = load_sample()
    model = _create(recipe.seed)
    model.preprocessing = sample.preprocessing()
    start = time.perf_counter()
    with _progress(recipe.steps) as report:
        train(model, sample, recipe, report)
    seconds = time.perf_counter() - start

    image, mask = sample.held_out
    scores = _scores(model, image)
    score = iou(scores > 0, mask > 0)
    _save_and_compare(model, sample, paths.model)
    write_held_out(paths.held_out)
    result = Result(sample, scores.sigmoid()[0, 0], score, f"{ARCHITECTURE} / {ENCODER}", seconds, recipe.steps)
    draw(result).save(paths.overlay)
    _summarise(model, result, paths)
    if required_iou is not None and score < required_iou:
        raise CliError(f"the held-out IoU is {score:.4f}, below the required {required_iou:.2f}")


def _create(seed: int) -> SegmentationModel:
    torch.manual_seed(seed)
    try:
        return smp_core.create(ARCHITECTURE, ENCODER, encoder_weights=None, in_channels=1)
    except MissingPluginError as error:
        raise MissingPluginError(f"{error} (the demo needs both: pip install smp-unet smp-resnet)") from error


def _scores(model: SegmentationModel, image: Tensor) -> Tensor:
    """(1, 1, H, W) pixels in [0, 1] -> scores of the same shape."""
    assert model.preprocessing is not None
    scores = model.predict(model.preprocessing(image))
    assert isinstance(scores, Tensor)
    return scores


def _save_and_compare(model: SegmentationModel, sample: Sample, folder: Path) -> None:
    """Save the model, load it back, and make sure that both predict the same for the whole micrograph, to the bit."""
    model.save_pretrained(folder)
    loaded = smp_core.from_pretrained(folder)
    before, after = _scores(model, sample.image[None]), _scores(loaded, sample.image[None])
    if not torch.equal(before, after):
        largest = (before - after).abs().max().item()
        raise CliError(f"the model loaded from {str(folder)!r} predicts otherwise than the saved one, by {largest:.3g}")


def _summarise(model: SegmentationModel, result: Result, paths: Paths) -> None:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    predict = ["smp", "predict", str(paths.held_out), "--model", str(paths.model), "--out", str(paths.out / "masks")]
    print_rows(
        f"Trained {result.model} from scratch on three quadrants of a micrograph",
        [
            ("held-out IoU", f"{result.iou:.4f}"),
            ("training", f"{result.seconds:.1f} s, {result.steps} steps, {parameters / 1e6:.1f} M parameters"),
            ("loaded back", "predicts the same, bit for bit"),
            ("picture", str(paths.overlay)),
            ("model", str(paths.model)),
            ("try next", shlex.join(predict)),
        ],
    )


class _Report:
    """Progress for a terminal is a bar; for a log, a line every quarter of the way."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress = progress
        self.total = total
        self.task = progress.add_task("training", total=total, loss="")

    def __call__(self, step: int, loss: float) -> None:
        if not self.progress.console.is_terminal:
            if step % max(1, self.total // 4) == 0 or step == self.total:
                print_error(f"training: step {step} of {self.total}, loss {loss:.3f}")
            return
        self.progress.update(self.task, completed=step, loss=f"loss {loss:.3f}")


@contextmanager
def _progress(total: int) -> Iterator[_Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = stderr()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield _Report(progress, total)
