"""Dropout of maps, with the draws of a seed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.layers.layout import channels_innermost, rows_innermost
from smp_core.layers.recording import is_eager


class MapDropout(nn.Dropout):
    """Dropout that drops the same values of a map whatever lies innermost in its memory.

    torch draws in the order of the memory, so that from one seed a map with its channels innermost loses other values
    than one with its rows innermost, as segmentation_models_pytorch has them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), same out, in the same layout."""
        if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
            if self.training and is_eager(x) and not x.is_contiguous():
                return channels_innermost(functional.dropout(rows_innermost(x), self.p, True, self.inplace))
        return functional.dropout(x, self.p, self.training, self.inplace)
