"""Dense blocks without concatenations, for running them as they are written on the CPU.

Written plainly, each layer of a dense block copies all maps before its own, takes their batch statistics, and keeps
them for the gradient twice, before and after its first norm: all that grows with the square of the number of layers.
But a map does not change once it is there, nor do its statistics. So here

- each map is written once, into a buffer of the whole block, of which every layer reads a longer beginning;
- each map's batch statistics are taken once;
- what a layer's first norm and ReLU make of the beginning is not kept for the gradient but made again, as in Pleiss et
  al., Memory-Efficient Implementation of DenseNets, arXiv:1707.06990; with the statistics known it costs little.

The numbers are the plain form's. The buffer is (1, C, N * H, W), the batch as one tall image, so that its beginning is
contiguous for any N; the statistics of a norm and a 1x1 convolution do not see the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional

from smp_core.layers import CONV1X1, form_for, is_stock, may_fuse
from smp_core.layers.recording import is_eager

_TRACKING = {"track_running_stats": True}

# Transforms of torch.func differentiate and batch what they see, and do not see into a buffer.
_is_transformed = getattr(torch._C._functorch, "is_functorch_wrapped_tensor", lambda _: False)


class DenseLayer(Protocol):
    """What is read of a layer; see `smp_densenet.dense_block.DenseLayer`."""

    norm1: nn.BatchNorm2d
    relu1: nn.ReLU
    conv1: nn.Conv2d
    conv2: nn.Conv2d

    def grow(self, x: Tensor) -> Tensor:
        """The second half."""
        ...


def can_share_buffer(layers: Sequence[DenseLayer], kind: type[nn.Module], x: Tensor) -> bool:
    """Whether `run_with_buffer` gives what calling the layers gives: nothing watches or replaces their first halves.

    Args:
        layers: of the block.
        kind: the class that they were built with.
        x: its input, (N, C, H, W).
    """
    if not may_fuse(x) or not is_eager(x) or type(x) is not Tensor or _is_transformed(x):
        return False
    if form_for("dense_block", x) != "buffer" or torch.is_autocast_enabled(x.device.type):
        return False
    # A single value has no statistics, and torch has an error for that. With the channels innermost, a beginning of
    # the buffer would not be contiguous.
    if x.numel() <= x.shape[1] or not x.is_contiguous() or _is_dual(x):
        return False
    return all(_is_as_built(layer, kind, x.dtype) for layer in layers)


def _is_dual(x: Tensor) -> bool:
    """Whether forward-mode differentiation goes through it."""
    return forward_ad.unpack_dual(x).tangent is not None


def _is_as_built(layer: DenseLayer, kind: type[nn.Module], dtype: torch.dtype) -> bool:
    if not is_stock(layer, kind) or not is_stock(layer.relu1, nn.ReLU):
        return False
    if not is_stock(layer.norm1, nn.BatchNorm2d, _TRACKING):
        return False
    # Of the last convolution it must be known how many channels it makes.
    if not is_stock(layer.conv1, nn.Conv2d, CONV1X1) or not isinstance(layer.conv2, nn.Conv2d):
        return False
    norm, convolution = layer.norm1, layer.conv1
    if norm.running_mean is None or norm.num_batches_tracked is None or norm.weight is None:
        return False
    if convolution.bias is not None or any(_is_dual(item) for item in (norm.weight, norm.bias, convolution.weight)):
        return False
    return norm.weight.dtype == norm.running_mean.dtype == convolution.weight.dtype == dtype


def run_with_buffer(layers: Sequence[DenseLayer], x: Tensor) -> Tensor:
    """The dense block: (N, C, H, W) -> (N, C + layers * growth, H, W); see `can_share_buffer`."""
    batch, start, height, width = x.shape
    total = start + sum(layer.conv2.out_channels for layer in layers)
    buffer = x.new_empty((total, batch, height, width))
    statistics = _Statistics(buffer)
    beginning: Tensor = _Append.apply(None, x, buffer, 0)
    for layer in layers:
        # Calls within calls, as a name would keep a map in memory that is no longer needed.
        new = layer.grow(_to_batch(_norm_relu_convolve(layer, beginning, statistics), batch, height))
        beginning = _Append.apply(beginning, new, buffer, start)
        start += new.shape[1]
        del new
    result = _to_batch(beginning, batch, height)
    # Of a single image that is the buffer itself, of which the gradient is made; whoever comes next may write into it.
    return result.clone() if batch == 1 and result.requires_grad else result


def _to_batch(x: Tensor, batch: int, height: int) -> Tensor:
    """(1, C, N * H, W) -> (N, C, H, W); of a single image no copy."""
    return x.view(x.shape[1], batch, height, -1).transpose(0, 1).contiguous()


class _Append(torch.autograd.Function):
    """Write maps (N, C', H, W) behind the buffer's first C channels: (1, C, N * H, W) -> (1, C + C', N * H, W).

    Without ``beginning`` they are the first. What is returned is the buffer's own memory.
    """

    @staticmethod
    def forward(ctx: Any, beginning: Tensor | None, new: Tensor, buffer: Tensor, start: int) -> Tensor:
        ctx.start, ctx.shape, ctx.follows = start, new.shape, beginning is not None
        end = start + new.shape[1]
        buffer[start:end].copy_(new.transpose(0, 1))
        # Autograd keeps beginnings for the gradient and counts what is written into the memory of each. Later maps
        # leave a beginning as it is; as ``.data`` it has a count of its own.
        return buffer[:end].flatten(1, 2).unsqueeze(0).data

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        batch, channels, height, width = ctx.shape
        new = grad[:, ctx.start :].reshape(channels, batch, height, width).transpose(0, 1)
        return grad[:, : ctx.start] if ctx.follows else None, new, None, None


class _Statistics:
    """Mean and variance of each map in a buffer over the batch, taken once, when they are first asked for."""

    def __init__(self, buffer: Tensor) -> None:
        self._buffer = buffer
        self._mean, self._variance = buffer.new_empty(0), buffer.new_empty(0)

    def first(self, channels: int) -> tuple[Tensor, Tensor]:
        """Of the first channels, which must have been written: each (channels,)."""
        if len(self._mean) < channels:
            variance, mean = torch.var_mean(self._buffer[len(self._mean) : channels], dim=(1, 2, 3), correction=0)
            self._mean, self._variance = torch.cat([self._mean, mean]), torch.cat([self._variance, variance])
        return self._mean[:channels], self._variance[:channels]


def _norm_relu_convolve(layer: DenseLayer, x: Tensor, statistics: _Statistics) -> Tensor:
    """The first half of a dense layer: (1, C, H, W) -> (1, bottleneck * growth, H, W)."""
    norm = layer.norm1
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = norm.running_mean, norm.running_var
    if norm.training:
        mean, variance = statistics.first(x.shape[1])
        _track(norm, mean, variance, x.numel() // x.shape[1])
    result: Tensor = _NormReluConvolve.apply(
        x, norm.weight, norm.bias, layer.conv1.weight, mean, variance, norm.training, norm.eps
    )
    return result


def _track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """What a batch norm does to its running statistics in training mode."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    # Without a momentum the average is over all batches alike.
    momentum = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)
    norm.running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
    norm.running_var.mul_(1 - momentum).add_(variance, alpha=momentum * count / (count - 1))


def _norm_relu(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float) -> Tensor:
    return functional.batch_norm(x, mean, variance, weight, bias, eps=eps).relu_()


class _NormReluConvolve(torch.autograd.Function):
    """Batch norm by given statistics, ReLU and a 1x1 convolution, of which only the input is kept for the gradient.

    In training mode the statistics are those of the input, and the gradient goes through them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        kernel: Tensor,
        mean: Tensor,
        variance: Tensor,
        training: bool,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, bias, kernel, mean, variance)
        ctx.training, ctx.eps = training, eps
        return functional.conv2d(_norm_relu(x, weight, bias, mean, variance, eps), kernel)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        how = _differentiable_gradients if torch.is_grad_enabled() else _gradients
        return *how(grad, ctx.saved_tensors, ctx.training, ctx.eps, ctx.needs_input_grad[:4]), None, None, None, None


def _gradients(
    grad: Tensor, saved: tuple[Tensor, ...], training: bool, eps: float, needed: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """Gradients of input, weight, bias and kernel, by the operations that autograd itself uses."""
    x, weight, bias, kernel, mean, variance = saved
    aten = torch.ops.aten
    y = _norm_relu(x, weight, bias, mean, variance, eps)
    want_inner = any(needed[:3])
    inner, of_kernel, _ = aten.convolution_backward(
        *(grad, y, kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [want_inner, needed[3], False])
    )
    if not want_inner:
        return None, None, None, of_kernel
    inner = aten.threshold_backward(inner, y, 0)
    inverse = (variance + eps).rsqrt()
    of_norm = aten.native_batch_norm_backward(
        *(inner, x, weight, mean, variance, mean, inverse, training, eps, list(needed[:3]))
    )
    return *of_norm, of_kernel


def _differentiable_gradients(
    grad: Tensor, saved: tuple[Tensor, ...], training: bool, eps: float, needed: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """The same from the plain form, which knows its gradients' gradients too."""
    x, weight, bias, kernel, mean, variance = saved
    normed = functional.batch_norm(
        x, None if training else mean, None if training else variance, weight, bias, training=training, eps=eps
    )
    result = functional.conv2d(normed.relu(), kernel)
    wanted = [item for item, need in zip((x, weight, bias, kernel), needed, strict=True) if need]
    found = iter(torch.autograd.grad(result, wanted, grad, create_graph=True))
    return tuple(next(found) if need else None for need in needed)
