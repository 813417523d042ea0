"""What is known about a model, and everything that a result depends on, written down so that a run can go on."""

from __future__ import annotations

import os
from typing import Any

import torch

from smp_predict.identity import digest_of, digest_of_file
from smp_predict.job import Job
from smp_predict.options import Options
from smp_predict.running import Model


def gives_logits(model: Model) -> bool:
    """Whether the model's scores are logits, as far as its ``config`` says what its last layer is."""
    return activation_of(model) not in ("sigmoid", "softmax", "softmax2d", "clamp", "argmax", "argmax2d")


def activation_of(model: object) -> object:
    """What a model's ``config`` says of its last layer; None: nothing."""
    return _configured(model, "activation")


def _configured(model: object, name: str) -> object:
    config: Any = getattr(model, "config", None)
    return config.get(name) if hasattr(config, "get") else None


def settings(job: Job, options: Options, source: object, model: object, digests: tuple[str, str]) -> dict[str, object]:
    """Everything that the result depends on, as far as that can be seen; digests are of model and preprocessing."""
    finish = job.finish
    nodata = None if job.nodata is None else [repr(job.nodata.value), job.nodata.mask is not None]
    found: dict[str, object] = {
        "tile": [
            options.tile,
            options.overlap,
            options.context,
            job.blend,
            job.batch_size,
            options.tta,
            options.dtype,
            str(job.runner.device),
            job.swath_width,
        ],
        "output": [
            finish.output,
            finish.mode,
            finish.threshold,
            finish.from_logits,
            finish.foreground,
            finish.dtype.name,
            *job.shape,
        ],
        "source": [*job.source.shape, job.source.dtype.name, nodata],
        "model": digests[0],
        "preprocessing": [
            digests[1],
            repr(getattr(model, "preprocessing", None)),
            options.scale,
        ],
        "torch": torch.__version__,
    }
    if isinstance(source, (str, os.PathLike)):
        found["file"] = digest_of_file(source)
    else:
        found["file"] = digest_of(source)
    return found


def channels_of(model: object) -> int | None:
    """How many channels a model says that it takes."""
    found = getattr(model, "in_channels", None) or _configured(model, "in_channels")
    return found if isinstance(found, int) else None


def classes_of(model: object) -> int | None:
    """How many classes a model's ``config`` says that it has."""
    found = _configured(model, "classes")
    return found if isinstance(found, int) else None
