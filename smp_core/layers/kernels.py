"""Kernels of plugins: functions that compute a fused layer at once, named by the rules of its form ``kernel``.

They are imported when a call first wants one, so that a program that runs elsewhere pays nothing. One that cannot be
imported is told of once, and the plain form runs in its place.
"""

from __future__ import annotations

import threading
from typing import Protocol

import torch
from torch import Tensor

from smp_core._warnings import warn
from smp_core.errors import FAILURES, readable
from smp_core.layers.forms import choice_for
from smp_core.layers.stock import is_plain_tensor
from smp_core.parts.targets import load_target


class StepKernel(Protocol):
    """What a rule of ``upsample_conv3x3``, ``known_upsample_conv3x3`` or ``conv3x3`` with the form ``kernel`` names.

    It is differentiable, obeys autocast as a convolution does, leaves its arguments as they are, and takes maps of any
    layout, views too.
    """

    def __call__(
        self,
        x: Tensor | None,
        skip: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        height: int,
        width: int,
        relu: bool,
        transposed: Tensor | None = None,
    ) -> Tensor:
        """A 3x3 convolution, padded by 1, of a map upsampled twofold by nearest neighbour and of a skip behind it.

        Args:
            x: (N, up_channels, h, w) with 2 h equal to ``height``, or one more, and ``width`` likewise; None where
                nothing is upsampled.
            skip: (N, skip_channels, height, width), or None; not both are.
            weight: (out_channels, up_channels + skip_channels, 3, 3).
            bias: (out_channels,), or None.
            height, width: size of the result.
            relu: whether negative results become 0.
            transposed: `smp_core.layers.upsample.transposed_kernel` of the part of ``weight`` for ``x``, where it is
                known; never given where gradients of the weight are wanted.

        Returns:
            (N, out_channels, height, width)
        """
        ...


_lock = threading.Lock()
# Of each target that has been wanted its function; None where it cannot be imported.
_kernels: dict[str, StepKernel | None] = {}


def kernel_for(layer: str, x: Tensor, pixels: int, channels: int) -> StepKernel | None:
    """The function that computes a fused layer, where its form is ``kernel``.

    Args:
        layer, x, pixels, channels: as for `smp_core.layers.form_for`.

    Returns:
        None where another form runs; a kernel knows nothing of subclasses of tensors. Whoever asks does so in no
        recorded graph, which has to run where there is no such kernel.
    """
    if not is_plain_tensor(x):
        return None
    target = choice_for(layer, x, pixels, channels)[1]
    return _kernels[target] if target is not None and _is_there(target) else None


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _is_there(target: str) -> bool:
    """Whether a target can be imported, which it is; a failure is told once."""
    if target not in _kernels:
        with _lock:
            if target not in _kernels:
                _kernels[target] = _loaded(target)
    return _kernels[target] is not None


def _loaded(target: str) -> StepKernel | None:
    try:
        kernel: StepKernel = load_target(target, "a form of a fused layer")
    except FAILURES as error:
        warn(
            f"the kernel {target} cannot be used, and the plain form runs in its place: {readable(str(error))}",
            RuntimeWarning,
        )
        return None
    return kernel
