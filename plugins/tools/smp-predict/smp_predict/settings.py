"""The arguments of a run: checked before anything is read, and written down so that a run can go on."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import torch
from torch import Tensor

from smp_predict.errors import OptionError
from smp_predict.finishing import MODES, OUTPUTS
from smp_predict.grid import BLENDS
from smp_predict.job import Job
from smp_predict.running import AUGMENTATIONS, Model

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def gives_logits(model: Model) -> bool:
    """Whether the model's scores are logits, as far as its ``config`` says what its last layer is."""
    config: Any = getattr(model, "config", None)
    activation = config.get("activation") if hasattr(config, "get") else None
    return activation not in ("sigmoid", "softmax", "softmax2d", "clamp")


def check(
    tile: int,
    overlap: float,
    blend: str,
    batch_size: int | str,
    tta: str | None,
    output: str,
    mode: str | None,
    threshold: float,
    dtype: str,
) -> None:
    """Raise OptionError with all that is wrong with the arguments of `predict`."""
    wrong = []
    if isinstance(tile, bool) or not isinstance(tile, int) or tile < 1:
        wrong.append(f"tile must be an int of at least 1, got {tile!r}")
    if not 0 <= overlap < 1:
        wrong.append(f"overlap must lie in [0, 1), got {overlap!r}")
    if batch_size != "auto" and (not isinstance(batch_size, int) or batch_size < 1):
        wrong.append(f"batch_size must be an int of at least 1 or 'auto', got {batch_size!r}")
    if not 0 <= threshold <= 1:
        wrong.append(f"threshold must lie in [0, 1], got {threshold!r}")
    choices: tuple[tuple[str, object, tuple[object, ...]], ...] = (
        ("blend", blend, BLENDS),
        ("tta", tta, tuple(AUGMENTATIONS)),
        ("output", output, OUTPUTS),
        ("mode", mode, (None, *MODES)),
        ("dtype", dtype, tuple(DTYPES)),
    )
    for name, value, known in choices:
        if value not in known:
            wrong.append(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    if wrong:
        raise OptionError("; ".join(wrong))


def settings(
    job: Job,
    tile: int,
    overlap: float,
    tta: str | None,
    dtype: str,
    source: object,
    model: object,
    preprocessing: object,
) -> dict[str, object]:
    """Everything that the result depends on, as far as that can be seen."""
    finish = job.finish
    found: dict[str, object] = {
        "tile": [tile, overlap, job.blend, job.batch_size, tta, dtype, str(job.runner.device)],
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
        "model": _digest(model),
        "preprocessing": [getattr(preprocessing, "__qualname__", None), repr(getattr(model, "preprocessing", None))],
        "torch": torch.__version__,
    }
    if isinstance(source, (str, os.PathLike)):
        status = os.stat(source)
        found["file"] = [os.path.abspath(source), status.st_size, status.st_mtime_ns]
    return found


def _digest(model: Any) -> str:
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
    config: Any = getattr(model, "config", None)
    found = getattr(model, "in_channels", None) or (config.get("in_channels") if hasattr(config, "get") else None)
    return found if isinstance(found, int) else None
