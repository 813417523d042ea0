"""Predicting an image of any size: windows are read ahead, tiles run in batches, and what is finished is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from smp_predict.arrays import as_sink, as_source, check_sink
from smp_predict.channels import with_channels
from smp_predict.errors import OptionError
from smp_predict.finishing import Mode, Output, finisher
from smp_predict.formats import open_source
from smp_predict.grid import Blend, axis
from smp_predict.job import Job, run, to_file
from smp_predict.progress import Report, reporter
from smp_predict.protocols import Array, Sink, Source, placement_of
from smp_predict.running import Model, Runner, automatic_batch_size, evaluated, probe
from smp_predict.settings import DTYPES, channels_of, check, gives_logits, settings
from smp_predict.tiles import Layout


def predict(
    model: Model,
    source: Source | Array | str | os.PathLike[str],
    sink: Sink | Array | str | os.PathLike[str] | None = None,
    *,
    tile: int = 512,
    overlap: float = 0.25,
    blend: Blend = "gaussian",
    batch_size: int | str = "auto",
    tta: str | None = None,
    output: Output = "labels",
    mode: Mode | None = None,
    threshold: float = 0.5,
    foreground: int = 1,
    from_logits: bool | None = None,
    output_dtype: str | None = None,
    nodata: float | str | None = "source",
    preprocessing: Callable[[Tensor], Tensor] | None = None,
    device: str | torch.device | None = None,
    dtype: str = "float32",
    resume: bool = True,
    progress: bool | Report = False,
) -> Array | None:
    """Predict an image of any size, tile by tile, in memory that does not grow with it.

    Tiles lie on a regular grid from the first pixel on. Where the last ones reach beyond the image they see its mirror
    image. An image that is no larger than a tile is predicted in one piece.

    Args:
        model: (N, C, h, w) float32 -> (N, K, h', w'), with one ratio of h' to h and w' to w: a torch module, which runs
            in evaluation mode, an ONNX Runtime session, or any other callable. Of a tuple the first item is taken.
        source: an array (H, W) or (H, W, C), the path of a file, or a `Source`.
        sink: None: the result is returned. Or an array of the result's shape and dtype, a `Sink`, or the path of a
            file whose extension says the format. A file is written beside its place and moved there when it is whole.
        tile: side of a tile, in pixels of the image.
        overlap: the part of a tile that the next one covers too, in [0, 1), at least; more where the tiles would reach
            far beyond the image.
        blend: how the scores of overlapping tiles are averaged: ``"gaussian"``, ``"cosine"`` or ``"constant"``;
            ``"none"`` takes each pixel from the tile whose middle is the nearest.
        batch_size: tiles at once; ``"auto"``: a million pixels on the CPU, four million on other devices. Where the
            memory does not suffice it is halved, with a `BatchHalvedWarning`.
        tta: test-time augmentation: ``"flips"`` averages 4 outputs of each tile, ``"d4"`` 8, None 1.
        output: ``"labels"``: (H, W) class indices, of multilabel models (H, W, K) of 0 and 1; ``"probabilities"`` and
            ``"scores"``: (H, W, K).
        mode: ``"binary"``, ``"multiclass"`` or ``"multilabel"``; None: binary for one map, else multiclass.
        threshold: the probability above which a pixel has a class, in binary and multilabel labels.
        foreground: the label of pixels that have a class, in binary and multilabel labels: 255 for masks to look at.
        from_logits: whether the model gives logits; None: what the ``config`` of the model says of its activation, else
            True.
        output_dtype: of the result; None: uint8 for labels (uint16 beyond 255 classes), float32 for others.
            Probabilities as ``"uint8"`` or ``"uint16"`` are scaled to the whole range.
        nodata: the value of pixels that show nothing. Tiles of nothing else are skipped; where no tile is left, labels
            are the largest value of their dtype, floats NaN, other integers 0. ``"source"``: what the file says.
        preprocessing: called with (N, C, h, w) float32 in the range of the source, on the device; None: uint8 and
            uint16 are scaled to [0, 1], then the model's ``preprocessing`` is applied, where it has one for C channels.
        device: where the model runs; a module is moved there, and back. None: where it is.
        dtype: ``"float16"`` and ``"bfloat16"`` run the model under autocast.
        resume: with a path: go on where a former run with the same arguments was cut. The result is the same file.
        progress: True: a line on standard error; or a function, called with `Progress`.

    Returns:
        The result, where ``sink`` is None.

    Raises:
        OptionError: an argument makes no sense.
        SourceError, SinkError: an image cannot be read, a result not be written.
        ModelOutputError: the model gives no maps of a fixed ratio.
        MissingDependencyError: a format needs a package.

    Examples:
        >>> import numpy as np
        >>> image = np.random.default_rng(0).random((700, 900, 3), dtype=np.float32)
        >>> predict(lambda x: x - 0.5, image, tile=256).shape
        (700, 900)
    """
    check(tile, overlap, blend, batch_size, tta, output, mode, threshold, dtype)
    given = open_source(source) if isinstance(source, (str, os.PathLike)) else as_source(source)
    given = with_channels(given, channels_of(model))
    missing = placement_of(given).nodata if nodata == "source" else nodata
    if isinstance(missing, str):
        raise OptionError(f"nodata must be a number, None or 'source', got {missing!r}")
    with evaluated(model, None if device is None else torch.device(device)) as home:
        runner = Runner(model, preprocessing=preprocessing, tta=tta, device=home, dtype=DTYPES[dtype])
        layout = Layout(axis(given.shape[0], tile, overlap), axis(given.shape[1], tile, overlap))
        size = layout.rows.tile, layout.columns.tile
        classes, ratio = probe(runner, given.shape[2], given.dtype, *size)
        logits = gives_logits(model) if from_logits is None else from_logits
        finish = finisher(
            output=output,
            mode=mode,
            threshold=threshold,
            from_logits=logits,
            classes=classes,
            output_dtype=output_dtype,
            foreground=foreground,
            nodata=missing,
        )
        batch = automatic_batch_size(home, *size) if isinstance(batch_size, str) else batch_size
        job = Job(given, layout, runner, finish, blend, ratio, classes, missing, batch, reporter(progress))
        if isinstance(sink, (str, os.PathLike)):
            written = settings(job, tile, overlap, tta, dtype, source, model, preprocessing)
            to_file(job, Path(sink), written, resume=resume)
            return None
        result = np.zeros(job.shape, finish.dtype) if sink is None else None
        target = as_sink(result if result is not None else sink)
        check_sink(target, job.shape, finish.dtype)
        run(job, target, None)
        return result
