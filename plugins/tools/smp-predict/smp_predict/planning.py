"""A model that is ready to predict, and what becomes of an image by it before any tile is run."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import torch

from smp_predict.arrays import as_source
from smp_predict.channels import with_channels
from smp_predict.errors import OptionError, SourceError
from smp_predict.finishing import finisher
from smp_predict.formats import open_source
from smp_predict.grid import axis
from smp_predict.identity import digest_of
from smp_predict.job import Job
from smp_predict.options import DTYPES, Options
from smp_predict.progress import Report
from smp_predict.protocols import Array, Source, mask_of, placement_of
from smp_predict.running import Model, Runner, automatic_batch_size, evaluated, probe
from smp_predict.settings import activation_of, channels_of, classes_of, gives_logits, settings
from smp_predict.tiles import Layout, Nodata

# What a model's integers of other kinds hold is not known: they have no largest value that is white.
_RANGES = ("bool", "uint8", "uint16")

Given = Source | Array | str | os.PathLike[str]
"""What an image is given as."""


def open_given(given: Given) -> Source:
    """An image as a source, however it was given.

    Raises:
        SourceError: it cannot be read.
        OptionError: it is neither an array nor a path nor a source.
    """
    return open_source(given) if isinstance(given, (str, os.PathLike)) else as_source(given)


class Planner:
    """A model in evaluation mode on its device; see `planner`."""

    def __init__(self, model: Model, options: Options, device: torch.device) -> None:
        self._model, self.options = model, options
        self._runner = Runner(
            model,
            preprocessing=options.preprocessing,
            scale=options.scale,
            tta=options.tta,
            device=device,
            dtype=DTYPES[options.dtype],
            classes=classes_of(model),
        )
        self._probed: dict[tuple[object, ...], tuple[int, Fraction]] = {}
        self._digests: tuple[str, str] | None = None

    def job(self, given: Given, report: Report | None = None) -> Job:
        """How an image is predicted.

        Raises:
            SourceError: it cannot be read, or has other channels than the model takes.
            OptionError: options that do not fit the model or the image.
            ModelOutputError: the model gives no maps of a fixed ratio.
        """
        options = self.options
        source = with_channels(open_given(given), channels_of(self._model))
        self._check_range(source)
        value = placement_of(source).nodata if options.nodata == "source" else options.nodata
        assert not isinstance(value, str)
        mask = mask_of(source) if options.nodata == "source" else None
        declared = value if mask is None else math.nan
        if value is None and (mask is not None or (options.nodata == "source" and source.dtype.kind == "f")):
            value = math.nan
        nodata = None if value is None else Nodata(value, mask)
        layout = Layout(*(axis(length, options.tile, options.overlap, options.context) for length in source.shape[:2]))
        size = layout.rows.seen, layout.columns.seen
        classes, ratio = self._probe(source, size)
        finish = finisher(
            output=options.output,
            mode=options.mode,
            threshold=options.threshold,
            from_logits=self._gives_logits(),
            classes=classes,
            output_dtype=options.output_dtype,
            foreground=options.foreground,
            nodata=declared,
        )
        chosen = options.batch_size
        batch = automatic_batch_size(self._runner.device, *size) if isinstance(chosen, str) else chosen
        return Job(source, layout, self._runner, finish, options.blend, ratio, classes, nodata, batch, report)

    def settings(self, job: Job, given: Given) -> dict[str, object]:
        """Everything that the result depends on, as far as that can be seen, JSON-able."""
        if self._digests is None:
            self._digests = digest_of(self._model), digest_of(self.options.preprocessing)
        return settings(job, self.options, given, self._model, self._digests)

    def _probe(self, source: Source, size: tuple[int, int]) -> tuple[int, Fraction]:
        key = (source.shape[2], source.dtype, size)
        if key not in self._probed:
            self._probed[key] = probe(self._runner, source.shape[2], source.dtype, *size)
        return self._probed[key]

    def _gives_logits(self) -> bool:
        options = self.options
        if options.from_logits is not None:
            return options.from_logits
        if activation_of(self._model) == "tanh" and (options.output == "probabilities" or options.threshold != 0.5):
            raise OptionError(
                "the model's activation is 'tanh', whose values are neither logits nor probabilities: expected "
                "output='labels' with threshold=0.5, output='scores', or from_logits"
            )
        return gives_logits(self._model)

    def _check_range(self, source: Source) -> None:
        dtype = source.dtype
        if self.options.scale or self.options.preprocessing or dtype.kind == "f" or dtype.name in _RANGES:
            return
        raise SourceError(
            f"the image has pixels of {dtype}, which have no fixed range: give scale= what they are divided by (10000 "
            "for reflectances, say), or preprocessing="
        )


@contextmanager
def planner(model: Model, options: Options) -> Iterator[Planner]:
    """A model, ready to predict: a module is in evaluation mode and on the device meanwhile."""
    device = None if options.device is None else _usable(options.device)
    with evaluated(model, device) as home:
        yield Planner(model, options, home)


def _usable(device: str | torch.device) -> torch.device:
    """A device that is there.

    Raises:
        OptionError: torch does not know it, or cannot use it here.
    """
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise OptionError(f"device {str(device)!r} cannot be used here: {reason}") from error
    return found
