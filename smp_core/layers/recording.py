"""Whether a run computes as written, is compiled, or only records a graph that has to hold for every size."""

from __future__ import annotations

import torch

# torch before 2.7 cannot tell an export from a compilation.
_is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)


def is_recording() -> bool:
    """Whether this run is a trace or an export, which cannot ask how large a map is."""
    if not torch.jit.is_scripting():  # TorchScript skips a branch only under this very condition
        return torch.jit.is_tracing() or bool(_is_exporting())
    return False


def is_eager() -> bool:
    """Whether torch runs the operations as they are written, so that the fastest of equal forms is worth choosing.

    A compiler chooses by itself, and a recorded graph keeps the plain form, which every runtime knows.
    """
    if not torch.jit.is_scripting():
        return not (torch.jit.is_tracing() or torch.compiler.is_compiling())
    return False
