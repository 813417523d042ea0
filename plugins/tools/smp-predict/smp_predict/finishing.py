"""What becomes of blended scores: labels, probabilities, or the scores themselves."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from smp_predict.assembling import Block
from smp_predict.errors import OptionError
from smp_predict.protocols import Array

Output = Literal["labels", "probabilities", "scores"]
OUTPUTS: tuple[Output, ...] = ("labels", "probabilities", "scores")
Mode = Literal["binary", "multiclass", "multilabel"]
MODES: tuple[Mode, ...] = ("binary", "multiclass", "multilabel")

_MOST = {"uint8": 255, "uint16": 65535}


class ModelOutputWarning(UserWarning):
    """The model gives NaN, and the result has nothing there."""


@dataclass(frozen=True)
class Finisher:
    """How blocks are finished.

    Attributes:
        output: what is wanted.
        mode: what a pixel's classes are: one, that it has or not; exactly one of several; any of several.
        threshold: the probability from which on a pixel has a class; binary and multilabel labels.
        from_logits: whether the scores are to be turned into probabilities by a sigmoid or softmax.
        classes: K.
        dtype: of the result.
        foreground: the label of pixels that have a class, in binary and multilabel labels.
    """

    output: Output
    mode: Mode
    threshold: float
    from_logits: bool
    classes: int
    dtype: np.dtype[Any]
    foreground: int = 1

    @property
    def channels(self) -> int | None:
        """Maps of the result; None: there is one, without an axis."""
        return None if self.output == "labels" and self.mode != "multilabel" else self.classes

    @property
    def fill(self) -> float:
        """The value where nothing was predicted: the largest of an integer dtype of labels, 0 of others, else NaN.

        0 of labels, too, where the largest value is that of the foreground.
        """
        if self.output == "labels":
            most = np.iinfo(self.dtype).max
            return 0.0 if self.foreground == most else float(most)
        return 0.0 if self.dtype.kind == "u" else float("nan")

    def __call__(self, block: Block) -> Array:
        """The pixels of a block: (h, w) or (h, w, K) in ``dtype``."""
        values, unknown = self._labels(block.scores) if self.output == "labels" else self._maps(block.scores)
        if block.missing is not None:
            unknown &= ~block.missing
            values = values.masked_fill(block.missing, self.fill)
        if bool(unknown.any()):
            warnings.warn(
                f"the model gives NaN for {int(unknown.sum())} pixels of {block.window}, and more may follow: they "
                f"become {self.fill:g}; under dtype='float16' numbers may be too large, else look at the weights",
                ModelOutputWarning,
                stacklevel=2,
            )
            values = values.masked_fill(unknown, self.fill)
        if values.ndim == 3:
            values = values.permute(1, 2, 0)
        return np.ascontiguousarray(values.cpu().numpy().astype(self.dtype))

    def _labels(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Labels, and (h, w) bool: where a score is NaN."""
        if self.mode == "multiclass":
            labels, best = _highest(scores)
            return labels.to(torch.uint8 if self.dtype.itemsize == 1 else torch.int64), best.isnan()
        probabilities = self._probabilities(scores)
        chosen = (probabilities > self.threshold).long() * self.foreground
        return chosen[0] if self.mode == "binary" else chosen, _any_nan(probabilities)

    def _maps(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        if self.output == "scores":
            return scores, _any_nan(scores)
        probabilities = self._probabilities(scores)
        most = _MOST.get(self.dtype.name)
        values = probabilities if most is None else (probabilities.clamp(0, 1) * most).round()
        return values, _any_nan(probabilities)

    def _probabilities(self, scores: Tensor) -> Tensor:
        if not self.from_logits:
            return scores
        return torch.softmax(scores, dim=0) if self.mode == "multiclass" else torch.sigmoid(scores)


def _any_nan(maps: Tensor) -> Tensor:
    """(h, w) bool of (K, h, w)."""
    return maps.isnan().any(dim=0)


def _highest(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The class of the highest score, the first of several, and that score, NaN where one is: (K, h, w) -> (h, w).

    On the CPU one class after the other, which is several times as fast there as a maximum over the first axis.
    """
    if scores.device.type != "cpu" or len(scores) > 256:
        found = scores.max(dim=0)
        return found.indices, found.values
    best = scores[0].clone()
    labels = torch.zeros(best.shape, dtype=torch.uint8)
    for label in range(1, len(scores)):
        higher = scores[label] > best
        # Later labels are the larger ones.
        torch.maximum(labels, higher.view(torch.uint8) * label, out=labels)
        torch.maximum(best, scores[label], out=best)
    return labels, best


def finisher(
    *,
    output: Output,
    mode: Mode | None,
    threshold: float,
    from_logits: bool,
    classes: int,
    output_dtype: str | None,
    foreground: int = 1,
    nodata: float | None = None,
) -> Finisher:
    """Check what is wanted, and fill in what nobody says.

    Raises:
        OptionError: options that do not fit together, or the model.
    """
    mode = mode or ("binary" if classes == 1 else "multiclass")
    if mode == "binary" and classes != 1:
        raise OptionError(f"mode='binary' is for one map, the model gives {classes}; expected multiclass or multilabel")
    if mode == "multiclass" and classes == 1:
        raise OptionError("mode='multiclass' needs several maps, the model gives 1; expected binary or multilabel")
    if output == "labels":
        # One value is left for pixels where nothing was predicted.
        default = "uint8" if mode != "multiclass" or classes <= 255 else "uint16"
        allowed: tuple[str, ...] = ("uint8", "uint16") if default == "uint8" else ("uint16",)
    elif output == "probabilities":
        default, allowed = "float32", ("float32", "float16", "uint8", "uint16")
    else:
        default, allowed = "float32", ("float32", "float16")
    dtype = output_dtype or default
    if dtype not in allowed:
        raise OptionError(
            f"output_dtype={dtype!r} does not hold {output} of {classes} classes; expected one of {allowed}"
        )
    found = Finisher(output, mode, threshold, from_logits, classes, np.dtype(dtype), foreground)
    most = np.iinfo(found.dtype).max if output == "labels" else 0
    if mode == "multiclass" and output == "labels" and threshold != 0.5:
        raise OptionError(
            f"threshold is of binary and multilabel labels; of {classes} classes each pixel gets the one with the "
            f"highest score, got threshold={threshold!r}: leave it out, or give mode='multilabel'"
        )
    if mode == "multiclass":
        return replace(found, foreground=1)  # it has no meaning there
    if output == "labels" and not 0 < foreground <= most - (nodata is not None):
        raise OptionError(
            f"foreground must lie in 1 to {most}, and below that where there is nodata; got {foreground!r}"
        )
    return found
