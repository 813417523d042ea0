"""Asking torch."""

from __future__ import annotations

import torch


def is_torch_compiling() -> bool:
    """Whether the call is being compiled or exported."""
    return torch.compiler.is_compiling()
