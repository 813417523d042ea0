"""How images are predicted, as one value: checked before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from smp_predict.errors import OptionError
from smp_predict.finishing import MODES, OUTPUTS, Mode, Output
from smp_predict.grid import BLENDS, Blend
from smp_predict.running import AUGMENTATIONS

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How images are predicted; the attributes are the arguments of `smp_predict.predict`, which describes them.

    Raises:
        OptionError: lists all that is wrong.

    Examples:
        >>> Options(tile=256, tta="flips").overlap
        0.25
    """

    tile: int = 512
    overlap: float = 0.25
    context: int = 0
    blend: Blend = "gaussian"
    batch_size: int | str = "auto"
    tta: str | None = None
    output: Output = "labels"
    mode: Mode | None = None
    threshold: float = 0.5
    foreground: int = 1
    from_logits: bool | None = None
    output_dtype: str | None = None
    nodata: float | str | None = "source"
    scale: float | None = None
    preprocessing: Callable[[Tensor], Tensor] | None = None
    device: str | torch.device | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        wrong = [*self._wrong_numbers(), *self._wrong_choices()]
        if wrong:
            raise OptionError("; ".join(wrong))

    def _wrong_numbers(self) -> list[str]:
        wrong = []
        if isinstance(self.tile, bool) or not isinstance(self.tile, int) or self.tile < 1:
            wrong.append(f"tile must be an int of at least 1, got {self.tile!r}")
        if not _is_number(self.overlap) or not 0 <= self.overlap < 1:
            wrong.append(f"overlap must lie in [0, 1), got {self.overlap!r}")
        if isinstance(self.foreground, bool) or not isinstance(self.foreground, int):
            wrong.append(f"foreground must be an int, got {self.foreground!r}")
        if isinstance(self.context, bool) or not isinstance(self.context, int) or self.context < 0:
            wrong.append(f"context must be an int of at least 0, got {self.context!r}")
        if self.batch_size != "auto" and (not isinstance(self.batch_size, int) or self.batch_size < 1):
            wrong.append(f"batch_size must be an int of at least 1 or 'auto', got {self.batch_size!r}")
        if not _is_number(self.threshold) or not 0 <= self.threshold <= 1:
            wrong.append(f"threshold must lie in [0, 1], got {self.threshold!r}")
        if not (self.nodata is None or _is_number(self.nodata) or str(self.nodata) == "source"):
            wrong.append(f"nodata must be a number, None or 'source', got {self.nodata!r}")
        if self.scale is not None and not (_is_number(self.scale) and 0 < self.scale < float("inf")):
            wrong.append(f"scale must be a number above 0, got {self.scale!r}")
        given: object = self.preprocessing
        if not (given is None or callable(given)):
            wrong.append(f"preprocessing must be a function of (N, C, h, w) or None, got {given!r}")
        if self.scale is not None and self.preprocessing is not None:
            wrong.append("scale and preprocessing exclude one another: a preprocessing gets pixels as they are")
        return wrong

    def _wrong_choices(self) -> list[str]:
        choices: tuple[tuple[str, object, tuple[object, ...]], ...] = (
            ("blend", self.blend, BLENDS),
            ("tta", self.tta, tuple(AUGMENTATIONS)),
            ("output", self.output, OUTPUTS),
            ("mode", self.mode, (None, *MODES)),
            ("dtype", self.dtype, tuple(DTYPES)),
        )
        return [
            f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}"
            for name, value, known in choices
            if value not in known
        ]


def _is_number(value: object) -> bool:
    """Python's and numpy's, but no bool."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
