"""Resize maps to one size, concatenate, convolve by 3x3: the fusion step of UPerNet.

A 3x3 convolution does not commute with interpolation, but it is the sum of nine 1x1 convolutions, each followed by a
shift of the result by a pixel, and a 1x1 convolution does commute. So a small map is projected nine times where it is
small, a quarter or less of the multiplications. What remains, enlarging and shifting, is linear in the rows and in the
columns of each channel: one small matrix for each, into which the shifts and the zeros beyond the border are built.

The parameters stay those of the plain 3x3 convolution, so every checkpoint fits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.layers.recording import is_eager

# A map this much smaller, in height and in width, is projected at its own size.
_WORTHWHILE = 2


class ResizedConcatConv3x3(nn.Conv2d):
    """3x3 convolution over maps that are resized to one size and concatenated.

    Equals ``conv(cat([interpolate(x, (height, width), mode="bilinear") for x in maps], dim=1))``, corners not aligned.
    State-dict keys: ``weight`` (out_channels, sum of branch_channels, 3, 3) and, where there is one, ``bias``
    (out_channels,), those of ``nn.Conv2d(sum(branch_channels), out_channels, 3, padding=1)``.

    Args:
        branch_channels: channels of each map, in the order of the concatenation. The first has the size of the result.
        out_channels: channels of the result.
        bias: whether there is a bias.

    >>> layer = ResizedConcatConv3x3((8, 16), 4)
    >>> layer([torch.zeros(1, 8, 12, 10), torch.zeros(1, 16, 3, 5)], 12, 10).shape
    torch.Size([1, 4, 12, 10])
    """

    def __init__(self, branch_channels: Sequence[int], out_channels: int, *, bias: bool = False) -> None:
        super().__init__(sum(branch_channels), out_channels, 3, padding=1, bias=bias)
        self.branch_channels: list[int] = list(branch_channels)

    def forward(self, maps: list[Tensor], height: int, width: int) -> Tensor:  # type: ignore[override]
        """Convolve and add.

        Args:
            maps: one (N, branch_channels[i], h_i, w_i) for each branch; the first of the size of the result.
            height, width: size of the result.

        Returns:
            (N, out_channels, height, width)
        """
        # The matrix products have been measured on the CPU; other devices keep the plain form until they are.
        if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
            if is_eager() and maps[0].device.type == "cpu":
                return self._split(maps, height, width)
        resized = [maps[0]]
        resized.extend([_resize(x, height, width) for x in maps[1:]])
        return functional.conv2d(torch.cat(resized, dim=1), self.weight, self.bias, padding=1)

    def _split(self, maps: list[Tensor], height: int, width: int) -> Tensor:
        weights = torch.split(self.weight, self.branch_channels, dim=1)
        out: Tensor | None = None
        for index, x in enumerate(maps):
            # Rows innermost, whatever the layout of the input: the matrices multiply rows and columns.
            x, weight = x.contiguous(), weights[index].contiguous()
            if out is not None and _WORTHWHILE * x.shape[2] <= height and _WORTHWHILE * x.shape[3] <= width:
                _add_enlarged(out, x, weight)
                continue
            if index > 0:
                x = _resize(x, height, width)
            convolved = functional.conv2d(x, weight, self.bias if out is None else None, padding=1)
            out = convolved if out is None else out.add_(convolved)
        assert out is not None
        return out


def _add_enlarged(out: Tensor, x: Tensor, weight: Tensor) -> None:
    """Add ``conv2d(interpolate(x, size of out), weight, padding=1)`` to ``out`` in place.

    Args:
        out: (N, O, H, W), contiguous; changed.
        x: (N, C, h, w).
        weight: (O, C, 3, 3).
    """
    num_images, out_channels, height, width = out.shape
    enlarged: Tensor | None = None
    columns = _shifted(x.shape[3], width, x)
    for place, matrix in enumerate(columns):
        # The three taps of one column of the kernel, at the size of x: (N, O * 3, h, w), then (N * O * 3 * h, W).
        taps = weight[:, :, :, place].transpose(1, 2).reshape(3 * out_channels, -1, 1, 1)
        projected = functional.conv2d(x, taps)
        rows = projected.reshape(-1, x.shape[3])
        matrix = matrix.to(rows.dtype)  # under autocast the projection has another type than its input
        enlarged = rows @ matrix if enlarged is None else enlarged.addmm_(rows, matrix)
    assert enlarged is not None
    enlarged = enlarged.view(num_images * out_channels, 3 * x.shape[2], width)
    rows = torch.cat(_shifted(x.shape[2], height, x)).t().to(enlarged.dtype)
    out.view(-1, height, width).baddbmm_(rows.expand(enlarged.shape[0], -1, -1), enlarged)


def _shifted(length: int, resized: int, like: Tensor) -> list[Tensor]:
    """For each of the three places of a kernel's axis the matrix that enlarges and shifts: (length, resized)."""
    matrix = functional.pad(_interpolation_matrix(length, resized, like), (1, 1))
    return [matrix[:, place : place + resized].contiguous() for place in range(3)]


def _interpolation_matrix(length: int, resized: int, like: Tensor) -> Tensor:
    """What linear interpolation multiplies a row by: (length, resized), with dtype and device of ``like``."""
    unit = torch.eye(length, dtype=torch.float64, device=like.device).unsqueeze(0)
    return functional.interpolate(unit, size=[resized], mode="linear", align_corners=False).squeeze(0).to(like.dtype)


def _resize(x: Tensor, height: int, width: int) -> Tensor:
    return functional.interpolate(x, size=[height, width], mode="bilinear", align_corners=False)
