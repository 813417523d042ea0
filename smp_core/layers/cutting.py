"""Filling images up to whole patches, and cutting maps to the size that is true to an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Older versions of torch do not tell; there a compiled graph is treated as an exported one.
_is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)


def cut(x: Tensor, height: int, width: int) -> Tensor:
    """The upper left part of a map: (N, C, H, W) -> (N, C, height, width), neither larger than the map's.

    In a graph that a compiler records a slice up to a symbolic size has to be proved no larger than the map; less
    padding has not. Nor can an exporter prove what torch asks of the strides of a map whose channels lie innermost;
    which layout is fast is the affair of the runtime that gets the graph.
    """
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if torch.compiler.is_compiling():
            x = x.contiguous() if _is_exporting() else x
            return functional.pad(x, [0, width - x.shape[3], 0, height - x.shape[2]])
    return x[:, :, :height, :width]


def whole_patches(x: Tensor, patch: int) -> Tensor:
    """Images with zeros, right and bottom, up to whole patches: (N, C, H, W) -> (N, C, H', W').

    For encoders that see their input patch by patch, which drop what is left over of an image, and cannot take one that
    is smaller than a patch. H' and W' are the next multiples of ``patch``: in eager mode, in a script, and in a graph
    that is exported for any size of more than a patch. A feature of that reduction then has ceil(H / patch) rows, as it
    should; those of smaller reductions have more, which `cut_features` takes off.

    >>> whole_patches(torch.ones(1, 3, 5, 30), 14).shape
    torch.Size([1, 3, 14, 42])
    """
    height = (x.shape[2] + patch - 1) // patch * patch
    width = (x.shape[3] + patch - 1) // patch * patch
    return functional.pad(x, [0, width - x.shape[3], 0, height - x.shape[2]])


def cut_features(features: list[Tensor], x: Tensor, reductions: list[int]) -> list[Tensor]:
    """Features of images that were filled up, cut to the size that is true to the images.

    Args:
        features: (N, C, h, w) each, of at least ceil(H / reduction) rows and ceil(W / reduction) columns.
        x: the images as they were given, (N, C, H, W).
        reductions: of each feature; a list, as TorchScript indexes no tuple.

    Returns:
        One (N, C, ceil(H / reduction), ceil(W / reduction)) for each.

    >>> cut_features([torch.ones(1, 8, 7, 21)], torch.ones(1, 3, 5, 30), [2])[0].shape
    torch.Size([1, 8, 3, 15])
    """
    result: list[Tensor] = []
    for number, feature in enumerate(features):
        reduction = reductions[number]
        height, width = (x.shape[2] + reduction - 1) // reduction, (x.shape[3] + reduction - 1) // reduction
        result.append(cut(feature, height, width))
    return result
