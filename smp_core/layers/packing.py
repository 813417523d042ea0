"""The kernel of a transposed convolution, laid out once as oneDNN reads it.

torch's convolutions lay their weights out anew at each call: for the 21 MB of the deepest level of a Unet over 1280
channels that is a quarter of the time. Inductor's freezing, with the same operators, does it once. How oneDNN wants
them depends on the sizes and on the number of threads; given others, it takes up to fifteen times as long.
"""

from __future__ import annotations

import torch
from torch import Tensor

_OPERATORS = ("_reorder_convolution_transpose_weight", "_convolution_transpose_pointwise")
# The only transposed convolution that there is: it enlarges twofold.
_PADDING, _OUTPUT_PADDING, _STRIDE, _DILATION = (1, 1), (0, 0), (2, 2), (1, 1)


class Turns:
    """When to lay weights out for what comes: at first at once; then twice as seldom each time.

    Twice as many calls as before the last time have to come with one size: where sizes go to and fro, laying out
    remains a small part of the work.
    """

    def __init__(self) -> None:
        self._came: tuple[object, int] = (None, 0)
        self._awaited = 1

    def is_due(self, size: object) -> bool:
        """Whether to do it for this one, which a call has come with."""
        before, times = self._came
        times = times + 1 if before == size else 1
        self._came = (size, times)
        if times < self._awaited:
            return False
        self._awaited *= 2
        return True


class PackedKernel:
    """Of one kernel, for one size, made when it is wanted. It is neither copied nor pickled: the copy makes its own."""

    def __init__(self) -> None:
        self._of: tuple[Tensor, int] | None = None
        self._turns = Turns()
        self._made: tuple[Tensor, object] | None = None

    def convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor | None:
        """``conv_transpose2d(x, kernel, bias, stride=2, padding=1)``, without a gradient.

        Args:
            x: (N, C, H, W), float32, on the CPU.
            kernel: (C, O, 4, 4), likewise.
            bias: (O,), or None.

        Returns:
            (N, O, 2 H, 2 W), channels-last, as torch's is; None where this torch has no such operators, or maps of many
            sizes come.
        """
        if not has_operators(*_OPERATORS) or torch.is_autocast_enabled("cpu") or torch.is_grad_enabled():
            return None
        packed = self._packed_for(kernel, x)
        if packed is None:
            return None
        out: Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(
            x, packed, bias, _PADDING, _OUTPUT_PADDING, _STRIDE, _DILATION, 1, "none", [], ""
        )
        return out

    def _packed_for(self, kernel: Tensor, x: Tensor) -> Tensor | None:
        version = -1 if kernel.is_inference() else kernel._version
        size = (id(kernel), version, tuple(x.shape), torch.get_num_threads())
        made = self._made
        if made is not None and made[1] == size:
            return made[0]
        of = self._of
        if of is None or of[0] is not kernel or of[1] != version:
            self._of, self._turns, self._made = (kernel, version), Turns(), None
        if not self._turns.is_due(size):
            return None
        packed: Tensor = torch.ops.mkldnn._reorder_convolution_transpose_weight(
            kernel.detach(), _PADDING, _OUTPUT_PADDING, _STRIDE, _DILATION, 1, list(x.shape)
        )
        # One assignment: another thread has the old one or this.
        self._made = (packed, size)
        return packed

    def __reduce__(self) -> tuple[type[PackedKernel], tuple[()]]:
        return PackedKernel, ()


def has_operators(*names: str) -> bool:
    """Whether torch was built with oneDNN, has it switched on, and has these operators of it."""
    found = torch.backends.mkldnn
    if not found.is_available() or not bool(found.enabled):
        return False
    return all(hasattr(torch.ops.mkldnn, name) for name in names)
