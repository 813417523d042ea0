"""What is known about a model, and everything that a result depends on, written down so that a run can go on."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import torch
from torch import Tensor

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


def settings(job: Job, options: Options, source: object, model: object, digest: str) -> dict[str, object]:
    """Everything that the result depends on, as far as that can be seen."""
    finish = job.finish
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
        "source": [*job.source.shape, job.source.dtype.name, repr(job.nodata)],
        "model": digest,
        "preprocessing": [
            getattr(options.preprocessing, "__qualname__", None),
            repr(getattr(model, "preprocessing", None)),
            options.scale,
        ],
        "torch": torch.__version__,
    }
    if isinstance(source, (str, os.PathLike)):
        status = os.stat(source)
        found["file"] = [os.path.abspath(source), status.st_size, status.st_mtime_ns]
    return found


def digest_of(model: Any) -> str:
    """Of a module's parameters and buffers; of another callable its name."""
    if not isinstance(model, torch.nn.Module):
        return f"{type(model).__module__}.{type(model).__qualname__}"
    digest = hashlib.blake2b(digest_size=16)
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def channels_of(model: object) -> int | None:
    """How many channels a model says that it takes."""
    found = getattr(model, "in_channels", None) or _configured(model, "in_channels")
    return found if isinstance(found, int) else None


def classes_of(model: object) -> int | None:
    """How many classes a model's ``config`` says that it has."""
    found = _configured(model, "classes")
    return found if isinstance(found, int) else None
