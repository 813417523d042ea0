"""How images are prepared for pretrained weights, on arrays and tensors with the channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def preprocess_input(
    x: Any,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_space: str = "RGB",
    input_range: Sequence[float] | None = None,
    **kwargs: Any,  # noqa: ARG001  # SMP swallows what else a dict of settings holds
) -> Any:
    """Order the colours, scale, subtract the mean, divide by the deviation; `smp_core.preprocessing` says more.

    Args:
        x: (..., H, W, C), values in 0..1 or 0..255.
        mean, std: per channel, or None.
        input_space: ``"BGR"`` reverses the channels.
        input_range: values above 1 are divided by 255 where its end is 1.

    Returns:
        As ``x``, of the dtype that the arithmetic gives.
    """
    if input_space == "BGR":
        x = x[..., ::-1].copy()
    if input_range is not None and input_range[1] == 1 and x.max() > 1:
        x = x / 255.0
    if mean is not None:
        x = x - np.array(mean)
    if std is not None:
        x = x / np.array(std)
    return x
