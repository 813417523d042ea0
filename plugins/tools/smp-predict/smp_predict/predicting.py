"""Predicting an image of any size: windows are read ahead, tiles run in batches, and what is finished is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from smp_predict.arrays import as_sink, check_sink
from smp_predict.finishing import Mode, Output
from smp_predict.grid import Blend
from smp_predict.job import refuse_own_source, run, to_file
from smp_predict.options import Options
from smp_predict.planning import planner
from smp_predict.progress import Report, reporter
from smp_predict.protocols import Array, Sink, Source
from smp_predict.running import Model


def predict(
    model: Model,
    source: Source | Array | str | os.PathLike[str],
    sink: Sink | Array | str | os.PathLike[str] | None = None,
    *,
    tile: int = 512,
    overlap: float = 0.25,
    context: int = 0,
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
    scale: float | None = None,
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
        context: pixels around each tile that the model sees too, and whose scores are dropped: for models that look
            far. Near the edges of the image it sees more of the one side instead.
        blend: how the scores of overlapping tiles are averaged: ``"gaussian"``, ``"cosine"`` or ``"constant"``;
            ``"none"`` takes each pixel from the tile whose middle is the nearest.
        batch_size: tiles at once; ``"auto"``: a million pixels on the CPU, four million on other devices. Where the
            memory does not suffice it is halved, with a `BatchHalvedWarning`.
        tta: test-time augmentation: ``"flips"`` averages 4 outputs of each tile, ``"d4"`` 8, None 1.
        output: ``"labels"``: (H, W) class indices, of multilabel models (H, W, K) of 0 and 1; ``"probabilities"`` and
            ``"scores"``: (H, W, K).
        mode: ``"binary"``, ``"multiclass"`` or ``"multilabel"``; None: binary for one map, else multiclass.
        threshold: the probability above which a pixel has a class, in binary and multilabel labels.
        foreground: the label of pixels that have a class, in binary and multilabel labels: 255 for masks to look at,
            which are 0 where nothing is known.
        from_logits: whether the model gives logits; None: what the ``config`` of the model says of its activation, else
            True.
        output_dtype: of the result; None: uint8 for labels (uint16 beyond 255 classes), float32 for others.
            Probabilities as ``"uint8"`` or ``"uint16"`` are scaled to the whole range.
        nodata: the value of pixels that show nothing, in all channels. There labels are the largest value of their
            dtype, floats NaN, other integers 0. Tiles of nothing else are skipped; to the model, single pixels are the
            mean of their tile's others. ``"source"``: what the file says, by a value, a mask or an alpha band. Of
            floats, pixels with a channel that is NaN or infinite show nothing either. None: there are none.
        scale: what pixels are divided by before the model's own preprocessing; None: 255 for uint8 and 65535 for
            uint16, while floats are taken as they are and other integers are an error.
        preprocessing: called with (N, C, h, w) float32 in the range of the source, on the device; None: uint8 and
            uint16 are scaled to [0, 1], then the model's ``preprocessing`` is applied, where it has one for C channels.
        device: where the model runs; a module is moved there, and back. None: where it is.
        dtype: ``"float16"`` and ``"bfloat16"`` run the model under autocast.
        resume: with a path: go on where a former run with the same arguments was cut. The result is the same file.
            A model, preprocessing or source of another make that cannot be looked into starts over.
        progress: True: a line on standard error; or a function, called with `Progress`.

    Returns:
        The result, where ``sink`` is None.

    Raises:
        OptionError: an argument makes no sense.
        SourceError, SinkError: an image cannot be read, a result not be written, or would take the place of its image.
        ModelOutputError: the model gives no maps of a fixed ratio.
        MissingDependencyError: a format needs a package.

    Examples:
        >>> import numpy as np
        >>> image = np.random.default_rng(0).random((700, 900, 3), dtype=np.float32)
        >>> predict(lambda x: x - 0.5, image, tile=256).shape
        (700, 900)
    """
    options = Options(
        tile=tile,
        overlap=overlap,
        context=context,
        blend=blend,
        batch_size=batch_size,
        tta=tta,
        output=output,
        mode=mode,
        threshold=threshold,
        foreground=foreground,
        from_logits=from_logits,
        output_dtype=output_dtype,
        nodata=nodata,
        scale=scale,
        preprocessing=preprocessing,
        device=device,
        dtype=dtype,
    )
    refuse_own_source(source, sink)
    with planner(model, options) as plan:
        job = plan.job(source, reporter(progress))
        if isinstance(sink, (str, os.PathLike)):
            to_file(job, Path(sink), plan.settings(job, source), resume=resume)
            return None
        result = np.zeros(job.shape, job.finish.dtype) if sink is None else None
        target = as_sink(result if result is not None else sink)
        check_sink(target, job.shape, job.finish.dtype)
        run(job, target, None)
        return result
