"""Building modules without memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from smp_core.layers.filling import NoFilling


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Tensors that are made in this context have no memory, and nothing is spent on their initialisation."""
    with torch.device("meta"), NoFilling(only_meta=True):
        yield
