"""Kernels of plugins: functions that compute a fused layer at once, named by the rules of its form ``kernel``.

They are imported when a call first wants one, so that a program that runs elsewhere pays nothing. One that cannot be
imported or called is told of once, and the plain form runs in its place; so is one that raises where the plain form
does not, or gives a result of another shape.
"""

from __future__ import annotations

import inspect
import threading
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

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
# Of each target that has been wanted its function; None where it cannot be imported or has failed.
_kernels: dict[str, StepKernel | None] = {}


class _Guarded:
    """A kernel that fails alone: then, and from then on, the plain form runs.

    Args:
        kernel: a plugin's.
        target: its name.
    """

    def __init__(self, kernel: StepKernel, target: str) -> None:
        self.kernel = kernel
        self.target = target

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
        """See `StepKernel`.

        Raises:
            Exception: of the plain form, where the arguments are at fault.
        """
        if torch.compiler.is_compiling():  # where sizes may be symbols, and errors are the compiler's
            return self.kernel(x, skip, weight, bias, height, width, relu, transposed)
        given = skip if x is None else x
        assert given is not None
        out: Any = None
        try:
            out = self.kernel(x, skip, weight, bias, height, width, relu, transposed)
        except torch.cuda.OutOfMemoryError:  # torch's own; the plain form needs more
            raise
        except FAILURES as error:
            why = f"it raised {type(error).__name__}: {error}"
        else:
            shape = (given.shape[0], weight.shape[0], height, width)
            if isinstance(out, Tensor) and out.shape == shape:
                return out
            got = f"one of shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
            why = f"it returned {got}; expected a tensor of shape {shape}"
        # Where the caller is at fault this says so, and the kernel is kept.
        plain = _plain(x, skip, weight, bias, height, width, relu)
        with _lock:
            first, _kernels[self.target] = _kernels.get(self.target) is self, None
        if first:
            _warn_of(self.target, why)
        return plain


def _plain(
    x: Tensor | None, skip: Tensor | None, weight: Tensor, bias: Tensor | None, height: int, width: int, relu: bool
) -> Tensor:
    """What a kernel computes, by operations of torch."""
    maps = [] if x is None else [functional.interpolate(x, size=[height, width], mode="nearest")]
    maps += [] if skip is None else [skip]
    out = functional.conv2d(maps[0] if len(maps) == 1 else torch.cat(maps, dim=1), weight, bias, padding=1)
    return out.relu() if relu else out


def _warn_of(target: str, why: str) -> None:
    warn(
        f"the kernel {target} cannot be used, and the plain form runs in its place: {readable(why)}",
        RuntimeWarning,
    )


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
        kernel: Any = load_target(target, "a form of a fused layer")
        wrong = _wrong_with(kernel)
    except FAILURES as error:
        wrong = str(error)
    if wrong:
        _warn_of(target, wrong)
        return None
    return _Guarded(kernel, target)


def _wrong_with(kernel: Any) -> str:
    """Why something cannot be called as a `StepKernel` is; nothing where it can."""
    expected = "expected a function that is called as smp_core.layers.kernels.StepKernel"
    if not callable(kernel):
        return f"{expected}, got {type(kernel).__name__}"
    try:
        inspect.signature(kernel).bind(*range(8))  # as many as a step is given
    except ValueError:  # not written in Python
        return ""
    except TypeError as error:
        return f"{expected}, but {error}"
    return ""
