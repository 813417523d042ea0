"""Products of the places of tiles, each place with weights of its own, by oneDNN where torch has it.

One product for each place is a 1x1 convolution of as many groups, and oneDNN's reads weights that were laid out once
where a product lays them out anew at each call. How it wants them depends on the number of rows, in ways that nobody
but oneDNN knows; given others, it takes many times as long.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smp_core.layers.packing import has_operators

_OPERATORS = ("_reorder_convolution_weight", "_convolution_pointwise")
_PADDING, _STRIDE, _DILATION = (0, 0), (1, 1), (1, 1)


class HeldKernel:
    """The kernel of a form, as it was computed, or packed for one number of rows: always one of the two.

    It is packed for the number that comes first, and taken apart when another one comes. Before it is packed anew,
    twice as many calls as the time before have to come with one number: where maps of many sizes are taken, it stays
    as it was computed. The two round otherwise; so where torch is to be deterministic, nothing is packed. A copy begins
    anew. Threads may call at once: each has the one kernel or the other.
    """

    def __init__(self, kernel: Tensor) -> None:
        self.dtype, self.device = kernel.dtype, kernel.device
        self._outputs = kernel.shape[2]
        # Exchanged, never written into; 0 rows are those of a kernel that is not packed.
        self._held = (kernel, 0)
        self._came = (0, 0)  # with how many rows the last calls did, and how many these were
        self._awaited = 1

    def as_computed(self) -> Tensor:
        """It, (places, C, O)."""
        kernel, rows = self._held
        return unpack(kernel, self._outputs) if rows else kernel

    def for_rows(self, rows: int) -> Tensor:
        """The kernel for products of so many rows: packed for them, or as it was computed."""
        kernel, packed_for = self._held
        if packed_for == rows and may_pack(kernel):
            return kernel
        before, times = self._came
        self._came = before, times = rows, times + 1 if before == rows else 1
        if packed_for:
            kernel = self.as_computed()
            self._held = (kernel, 0)
        if times < self._awaited or not may_pack(kernel):
            return kernel
        self._awaited *= 2
        packed = pack(kernel, rows)
        self._held = (packed, rows)
        return packed

    def for_graph(self, rows: int) -> Tensor:
        """As `for_rows`, for a graph that keeps what it was compiled with; with 0 rows as it was computed."""
        kernel: Tensor = getattr(self, self._keep(rows))
        return kernel

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _keep(self, rows: int) -> str:
        """Under which name there is a kernel for so many rows from now on, which a compiler then reads as any other."""
        name, (kernel, packed_for) = f"_kept_{rows}", self._held
        if not hasattr(self, name):
            if packed_for != rows:
                kernel = self.as_computed()
                kernel = pack(kernel, rows) if rows and may_pack(kernel) else kernel
            setattr(self, name, kernel)
        return name

    def __reduce__(self) -> tuple[type[HeldKernel], tuple[Tensor]]:
        return HeldKernel, (self.as_computed(),)


def may_pack(kernel: Tensor) -> bool:
    """Whether this torch has what that takes, for a kernel like this, and nobody minds that it rounds otherwise."""
    if torch.are_deterministic_algorithms_enabled():
        return False
    return kernel.dtype == torch.float32 and kernel.is_cpu and has_operators(*_OPERATORS)


def pack(kernel: Tensor, rows: int) -> Tensor:
    """A kernel as oneDNN reads it for products of so many rows.

    Args:
        kernel: (places, C, O), float32, on the CPU.
        rows: of each product.
    """
    places, channels, outputs = kernel.shape
    weight = kernel.detach().transpose(1, 2).reshape(places * outputs, channels, 1, 1)
    shape = (1, places * channels, 1, rows)
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, _PADDING, _STRIDE, _DILATION, places, shape)
    return packed


def unpack(packed: Tensor, outputs: int) -> Tensor:
    """What `pack` was given, for so many output channels."""
    weight = packed.to_dense()
    return weight.reshape(-1, outputs, weight.shape[1]).transpose(1, 2).contiguous()


def multiply(rows: Tensor, kernel: Tensor) -> Tensor:
    """One product for each place.

    Args:
        rows: (places, R, C); in memory the places of a row are neighbours where the kernel is packed.
        kernel: (places, C, O), or that packed for R rows.

    Returns:
        (places, R, O), in memory likewise.
    """
    if not kernel.is_mkldnn:
        return torch.bmm(rows, kernel)
    places, number, channels = rows.shape
    x = rows.transpose(0, 1).view(1, 1, number, places * channels).permute(0, 3, 1, 2)
    out: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, kernel, None, _PADDING, _STRIDE, _DILATION, places, "none", [], ""
    )
    return out.permute(0, 2, 3, 1).view(number, places, -1).transpose(0, 1)
