"""Products of the places of tiles, each place with weights of its own, by oneDNN where torch has it.

One product for each place is a 1x1 convolution of as many groups, and oneDNN's reads weights that were laid out once
where a product lays them out anew at each call. How it wants them depends on the numbers of rows and of threads,
in ways that nobody but oneDNN knows; given others, it takes up to seventy times as long.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smp_core.layers.packing import Turns, has_operators

_OPERATORS = ("_reorder_convolution_weight", "_convolution_pointwise")
_PADDING, _STRIDE, _DILATION = (0, 0), (1, 1), (1, 1)
# Rows and threads.
_UNPACKED = (0, 0)


class HeldKernel:
    """The kernel of a form, as it was computed, or packed for one number of rows and threads: always one of the two.

    It is packed for the number that comes first, taken apart when another one comes, and packed anew as `Turns` say:
    where maps of many sizes are taken, it stays as it was computed. The two round otherwise; so where torch is to be
    deterministic, nothing is packed. A copy begins anew. Threads may call at once: each has the one kernel or the
    other.
    """

    def __init__(self, kernel: Tensor) -> None:
        self.dtype, self.device = kernel.dtype, kernel.device
        self._outputs = kernel.shape[2]
        self._begin(kernel)
        # What graphs were compiled with, which they go on reading. A second one that is packed would be one for each
        # size that somebody compiles.
        self._of_graphs: Tensor | None = None
        self._packed_of_graphs: Tensor | None = None
        self._graphs_packed_for = _UNPACKED

    def _begin(self, kernel: Tensor) -> None:
        # Exchanged, never written into.
        self._held = (kernel, _UNPACKED)
        self._turns = Turns()

    def as_computed(self) -> Tensor:
        """It, (places, C, O)."""
        kernel, packed_for = self._held
        return kernel if packed_for == _UNPACKED else unpack(kernel, self._outputs)

    def for_rows(self, rows: int) -> Tensor:
        """The kernel for products of so many rows: packed for them, or as it was computed."""
        kernel, packed_for = self._held
        wanted = (rows, torch.get_num_threads())
        if packed_for == wanted and may_pack(kernel):
            return kernel
        if packed_for != _UNPACKED:
            kernel = unpack(kernel, self._outputs)
            self._held = (kernel, _UNPACKED)
        if not may_pack(kernel) or not self._turns.is_due(wanted):
            return kernel
        packed = pack(kernel, rows)
        self._held = (packed, wanted)
        return packed

    def for_graph(self, rows: int) -> tuple[Tensor, int, int]:
        """The kernel for a graph that keeps what it is compiled with, and for which rows and threads it is packed.

        That is the size that is compiled first; for others, and where ``rows`` is 0, it is as it was computed, and the
        numbers are 0.
        """
        if self._keep(rows):
            kernel: Tensor | None = self._packed_of_graphs
            threads = self._threads_of_graphs()
        else:
            kernel, rows, threads = self._of_graphs, 0, 0
        assert kernel is not None  # `_keep` has seen to that
        return kernel, rows, threads

    # What a compiler does not follow, and takes the results of: it reads the attributes afterwards, as any others.
    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _keep(self, rows: int) -> bool:
        """See to it that there is a kernel for graphs; whether one that is packed for so many rows."""
        wanted, (kernel, packed_for) = (rows, torch.get_num_threads()), self._held
        if rows and may_pack(kernel) and self._graphs_packed_for in (_UNPACKED, wanted):
            if self._packed_of_graphs is None:
                if packed_for != wanted:
                    kernel = pack(self.as_computed(), rows)
                    self._held = (kernel, wanted)
                self._packed_of_graphs, self._graphs_packed_for = kernel, wanted
            return True
        if self._of_graphs is None:
            self._of_graphs = self.as_computed()
        return False

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _threads_of_graphs(self) -> int:
        return self._graphs_packed_for[1]

    def __reduce__(self) -> tuple[type[HeldKernel], tuple[Tensor]]:
        # Kept, as what is shared with another process has to live until that has it.
        kernel = self.as_computed()
        self._begin(kernel)
        return HeldKernel, (kernel,)


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
