"""The decoder step as an operator of torch: autograd, torch.compile and torch.export see through it."""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from smp_core.layers.upsample import transposed_kernel
from smp_kernels.checks import check_step
from smp_kernels.launching import device_class, is_interpreted, launch, or_plain, size_class
from smp_kernels.step_kernel import step_kernel
from smp_kernels.step_plain import plain_step, step_gradients

# Blocks of a matrix product: no smaller than tensor cores take, no larger than was measured.
_LEAST_BLOCK, _MOST_BLOCK = 16, 64
# Places in memory beyond this need 64 bits.
_NARROW = 2**31

_SCHEMA = (
    "(Tensor? x, Tensor? skip, Tensor weight, Tensor? bias, Tensor? transposed, SymInt height, SymInt width, bool relu)"
    " -> Tensor"
)


def decoder_step(
    x: Tensor | None,
    skip: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    height: int,
    width: int,
    relu: bool,
    transposed: Tensor | None = None,
) -> Tensor:
    """A 3x3 convolution of an upsampled map and a skip, in one kernel; see `smp_core.layers.kernels.StepKernel`.

    The result is laid out channels-last. float16, bfloat16 and float32 (with TF32 where cuDNN's convolutions may use
    it) are summed up in float32; float64 runs in the interpreter. Under autocast all are cast as a convolution casts.

    Raises:
        ValueError: neither a map nor a skip.
        RuntimeError: shapes, dtypes or devices that do not fit each other; says what was expected.

    >>> x, skip = torch.ones(1, 8, 2, 2), torch.ones(1, 4, 4, 3)
    >>> decoder_step(x, skip, torch.ones(1, 12, 3, 3), None, 4, 3, relu=True)[0, 0, 0]
    tensor([48., 72., 48.])
    """
    x = None if x is None or x.shape[1] == 0 else x
    skip = None if skip is None or skip.shape[1] == 0 else skip
    if x is None and skip is None:
        raise ValueError("decoder_step: a map to upsample, a skip, or both must have channels; neither has")
    kind = weight.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):  # not on meta
        dtype = torch.get_autocast_dtype(kind)
        x, skip, bias, transposed = (None if item is None else item.to(dtype) for item in (x, skip, bias, transposed))
        weight = weight.to(dtype)
    out: Tensor = torch.ops.smp_kernels.decoder_step(x, skip, weight, bias, transposed, height, width, relu)
    return out


def _step(
    x: Tensor | None,
    skip: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    transposed: Tensor | None,
    height: int,
    width: int,
    relu: bool,
) -> Tensor:
    """What the operator computes."""
    check_step(x, skip, weight, bias, transposed, height, width)
    up, joined = 0 if x is None else x.shape[1], weight.shape[1]
    key = (up, joined - up, weight.shape[0], weight.dtype, weight.device.type, size_class(height * width))

    def run() -> Tensor:
        return _launched(x, skip, weight, bias, transposed, height, width, relu)

    def plain() -> Tensor:
        out = plain_step(x, skip, weight, bias, height, width, relu)
        return out.contiguous(memory_format=torch.channels_last)

    return or_plain("the decoder step", key, run, plain)


def _launched(
    x: Tensor | None,
    skip: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    transposed: Tensor | None,
    height: int,
    width: int,
    relu: bool,
) -> Tensor:
    out = _empty_result(x, skip, weight, height, width)
    if out.numel() == 0:
        return out
    up = 0 if x is None else x.shape[1]
    # In odd sizes the last row or column sees less of the small map than the sums of weights suppose.
    in_phases = x is not None and height % 2 == 0 and width % 2 == 0
    if in_phases and transposed is None:
        transposed = transposed_kernel(weight[:, :up])
    given = [_channels_innermost(item) for item in (x, skip) if item is not None]
    x, skip = given[0] if x is not None else None, given[-1] if skip is not None else None
    pixels = out.shape[0] * height * width // (4 if in_phases else 1)
    channels = weight.shape[0]
    block_n = _block(channels)

    def grid(chosen: dict[str, Any]) -> tuple[int, int, int]:
        return triton.cdiv(pixels, chosen["BLOCK_M"]), triton.cdiv(channels, block_n), 4 if in_phases else 1

    launch(
        step_kernel,
        grid,
        out,
        *(*_argument(x, weight), *_argument(skip, weight), *_argument(weight, weight)),
        *(*_argument(transposed, weight), weight if bias is None else bias, *_argument(out, weight)),
        *(pixels, height, width, size_class(pixels), device_class(out)),
        UP=up,
        SKIP=weight.shape[1] - up,
        OUT=channels,
        PHASES=in_phases,
        HAS_BIAS=bias is not None,
        RELU=relu,
        WIDE=any(_reach(item) >= _NARROW for item in (x, skip, out) if item is not None),
        ACC=tl.float64 if out.dtype == torch.float64 else tl.float32,
        PRECISION="tf32" if _allows_tf32() else "ieee",
        WIDEN=is_interpreted() and out.dtype == torch.bfloat16,
        BLOCK_N=block_n,
        BLOCK_K=_block(min(item.shape[1] for item in given)),
    )
    return out


def _empty_result(x: Tensor | None, skip: Tensor | None, weight: Tensor, height: int, width: int) -> Tensor:
    given = skip if x is None else x
    assert given is not None
    shape = (given.shape[0], weight.shape[0], height, width)
    return torch.empty(shape, dtype=weight.dtype, device=given.device, memory_format=torch.channels_last)


def _channels_innermost(x: Tensor) -> Tensor:
    """A map whose channels lie side by side: views and slices of such are left, others are laid out so."""
    return x if x.stride(1) == 1 else x.contiguous(memory_format=torch.channels_last)


def _argument(tensor: Tensor | None, stand_in: Tensor) -> tuple[Any, ...]:
    """A map or weight of a kernel, with its strides; where there is none, what is never read."""
    return (stand_in, 0, 0, 0, 0) if tensor is None else (tensor, *tensor.stride())


def _block(channels: int) -> int:
    return min(_MOST_BLOCK, max(_LEAST_BLOCK, 1 << (channels - 1).bit_length()))


def _reach(x: Tensor) -> int:
    """How far its last element is from its first."""
    return sum((length - 1) * stride for length, stride in zip(x.shape, x.stride(), strict=True))


def _allows_tf32() -> bool:
    """Whether convolutions of float32 may be rounded to TF32, as torch is set."""
    convolutions = getattr(torch.backends.cudnn, "conv", None)
    if convolutions is not None:  # since torch 2.9, where asking for the old name may fail
        return bool(convolutions.fp32_precision != "ieee")
    return bool(torch.backends.cudnn.allow_tf32)


_operator = torch.library.custom_op("smp_kernels::decoder_step", _step, mutates_args=(), schema=_SCHEMA)


@_operator.register_fake
def _(
    x: Tensor | None,
    skip: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    transposed: Tensor | None,
    height: int,
    width: int,
    relu: bool,  # noqa: ARG001
) -> Tensor:
    check_step(x, skip, weight, bias, transposed, height, width)
    return _empty_result(x, skip, weight, height, width)


@register_flop_formula(torch.ops.smp_kernels.decoder_step)
def _operations(
    x_shape: torch.Size | None,  # noqa: ARG001
    skip_shape: torch.Size | None,  # noqa: ARG001
    weight_shape: torch.Size,
    bias_shape: torch.Size | None,  # noqa: ARG001
    transposed_shape: torch.Size | None,  # noqa: ARG001
    height: int,
    width: int,
    relu: bool,  # noqa: ARG001
    *,
    out_shape: torch.Size,
) -> int:
    """For `torch.utils.flop_counter`: those of the convolution that the step stands for, as the plain form counts."""
    return int(2 * out_shape[0] * height * width * math.prod(weight_shape))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, skip, weight, bias, _, height, width, relu = inputs
    ctx.has_bias, ctx.is_even = bias is not None, height % 2 == 0 and width % 2 == 0
    ctx.save_for_backward(x, skip, weight, output if relu else None)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, skip, weight, output = ctx.saved_tensors
    if output is not None:
        gradient = gradient * (output > 0)
    wanted = [bool(need) for need in ctx.needs_input_grad[:3]]
    wanted.append(ctx.has_bias and bool(ctx.needs_input_grad[3]))
    transposed = transposed_kernel(weight[:, : x.shape[1]]) if x is not None and ctx.is_even else None
    of_x, of_skip, of_weight, of_bias = step_gradients(gradient, x, skip, weight, wanted, transposed)
    return of_x, of_skip, of_weight, of_bias, None, None, None, None


_operator.register_autograd(_backward, setup_context=_keep)
