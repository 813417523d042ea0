"""From the form that is trained to the one that is used."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from smp_mobileone.layers import MobileOneBlock

_Module = TypeVar("_Module", bound=nn.Module)


@torch.no_grad()
def merged(module: _Module) -> _Module:
    """A copy in which each MobileOne block is one convolution; the module itself is not changed.

    The copy computes what the module computes in evaluation mode, to rounding, as the sum of a block's branches is one
    linear map; with fewer parameters and in less time. Its state dict has other keys, and it is not for training.
    Anything that holds such blocks can be merged: an encoder, or a model over it.

    Args:
        module: in evaluation mode.

    Raises:
        CreationError: a block is in training mode, where its batch norms use the statistics of the batch.

    >>> import smp_core
    >>> encoder = smp_core.create_encoder("mobileone_s0", weights=None).eval()
    >>> sum(p.numel() for p in encoder.parameters()), sum(p.numel() for p in merged(encoder).parameters())
    (4268272, 1053504)
    """
    found = copy.deepcopy(module)
    for parent in list(found.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, MobileOneBlock):
                setattr(parent, name, child.merged())
    return found.eval()
