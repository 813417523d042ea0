"""The kernel of a transposed convolution, laid out once as oneDNN reads it.

torch's convolutions lay their weights out anew at each call: for the 21 MB of the deepest level of a Unet over 1280
channels that is a quarter of the time. Inductor's freezing, with the same operators, does it once.
"""

from __future__ import annotations

import torch
from torch import Tensor

# The only transposed convolution that there is: it enlarges twofold.
_OPERATORS = ("_reorder_convolution_transpose_weight", "_convolution_transpose_pointwise")
_PADDING, _OUTPUT_PADDING, _STRIDE, _DILATION = (1, 1), (0, 0), (2, 2), (1, 1)


class PackedKernel:
    """Of one kernel, made when it is first wanted. It is neither copied nor pickled: the copy makes its own."""

    def __init__(self) -> None:
        self._made: tuple[Tensor, int, Tensor] | None = None

    def convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor | None:
        """``conv_transpose2d(x, kernel, bias, stride=2, padding=1)``, without a gradient.

        Args:
            x: (N, C, H, W), float32, on the CPU.
            kernel: (C, O, 4, 4), likewise.
            bias: (O,), or None.

        Returns:
            (N, O, 2 H, 2 W), channels-last, as torch's is; None where this torch has no such operators.
        """
        if not has_operators(*_OPERATORS) or torch.is_autocast_enabled("cpu") or torch.is_grad_enabled():
            return None
        made, version = self._made, -1 if kernel.is_inference() else kernel._version
        if made is None or made[0] is not kernel or made[1] != version:
            packed: Tensor = torch.ops.mkldnn._reorder_convolution_transpose_weight(
                kernel.detach(), _PADDING, _OUTPUT_PADDING, _STRIDE, _DILATION, 1
            )
            # One assignment: another thread has the old ones or these.
            self._made = made = (kernel, version, packed)
        out: Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(
            x, made[2], bias, _PADDING, _OUTPUT_PADDING, _STRIDE, _DILATION, 1, "none", [], ""
        )
        return out

    def __reduce__(self) -> tuple[type[PackedKernel], tuple[()]]:
        return PackedKernel, ()


def has_operators(*names: str) -> bool:
    """Whether torch was built with oneDNN, has it switched on, and has these operators of it."""
    found = torch.backends.mkldnn
    if not found.is_available() or not bool(found.enabled):
        return False
    return all(hasattr(torch.ops.mkldnn, name) for name in names)
