"""Small maps enlarged bilinearly, as the levels of pyramid pooling are: one matrix product for all of them.

Interpolation is linear in the pixels of a map and the same for every channel. So s x s pixels enlarged to H x W are
multiplied by one (s², H W) matrix, and the sum of several maps by the matrices below each other: K = 1 + 4 + 9 + 36
rows for the four levels of PSPNet. On CUDA the interpolation itself gives each pixel of the result to one thread, which
loops over all images and channels, and its gradient adds atomically.

A product multiplies each pixel by zeros, too, so that an infinite one makes NaN of all its channel, where interpolation
does so of its surroundings alone. The CPU looks before; a GPU, which nobody waits for, does not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from smp_core.layers.forms import form_for
from smp_core.layers.recording import is_eager

# Of a map that the product is meant for: beyond, most of a matrix is zeros.
_MOST_PIXELS = 64


def enlarges_by_matrix(x: Tensor, height: int, width: int) -> bool:
    """Whether a map (N, C, h, w) is small, and enlarged to that size by a matrix product faster."""
    # A script keeps the interpolation, as a recorded graph does, of which runtimes know what it is.
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if is_eager(x) and x.shape[2] * x.shape[3] <= _MOST_PIXELS:
            return form_for("enlarge", x, x.shape[0] * height * width) == "matrix" and is_finite(x)
    return False


def is_finite(x: Tensor) -> bool:
    """Whether no value of a map is infinite or NaN, as far as that is to be had without waiting for a device."""
    if x.device.type != "cpu" or type(x) is not Tensor:  # of what a subclass does nothing is known
        return True
    # Where a sum of large values overflows, the plain form runs, which is right, too.
    return math.isfinite(x.detach().sum(dtype=torch.float64 if x.dtype == torch.float64 else torch.float32).item())


def add_enlarged(out: Tensor, maps: list[Tensor], align_corners: bool) -> Tensor:
    """Add small maps, each enlarged bilinearly to the size of ``out``: (N, C, H, W), same out, in the same layout.

    Args:
        out: (N, C, H, W).
        maps: (N, C, h, w) each.
        align_corners: as of `torch.nn.functional.interpolate`.

    >>> maps = [torch.ones(1, 8, 1, 1), torch.ones(1, 8, 3, 3)]
    >>> add_enlarged(torch.zeros(1, 8, 12, 10), maps, align_corners=True).unique()
    tensor([2.])
    """
    batch, channels, height, width = out.shape
    pixels = torch.cat([x.flatten(2) for x in maps], dim=2)
    matrix = torch.cat([_matrix(x, height, width, align_corners) for x in maps])
    matrix = matrix.to(out.dtype).expand(batch, -1, -1)
    pixels = pixels.to(out.dtype)
    if out.is_contiguous():
        return torch.baddbmm(out.flatten(2), pixels, matrix).view(out.shape)
    rows = out.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
    summed = torch.baddbmm(rows, matrix.transpose(1, 2), pixels.transpose(1, 2))
    return summed.view(batch, height, width, channels).permute(0, 3, 1, 2)


def enlarged(x: Tensor, height: int, width: int, align_corners: bool) -> Tensor:
    """One small map enlarged bilinearly: (N, C, h, w) -> (N, C, height, width)."""
    matrix = _matrix(x, height, width, align_corners).to(x.dtype)
    return (x.flatten(2) @ matrix).view(x.shape[0], x.shape[1], height, width)


def _matrix(x: Tensor, height: int, width: int, align_corners: bool) -> Tensor:
    """What interpolation multiplies the pixels of a map by: (h w, height width), in float32 or better."""
    rows, columns = _weights(x.shape[2], height, x, align_corners), _weights(x.shape[3], width, x, align_corners)
    return (rows[:, None, :, None] * columns[None, :, None, :]).view(-1, height * width)


def _weights(length: int, resized: int, x: Tensor, align_corners: bool) -> Tensor:
    """What linear interpolation multiplies a row by: (length, resized)."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    unit = torch.eye(length, dtype=dtype, device=x.device).unsqueeze(0)
    return functional.interpolate(unit, size=[resized], mode="linear", align_corners=align_corners).squeeze(0)
