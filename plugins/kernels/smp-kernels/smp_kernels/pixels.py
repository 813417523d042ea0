"""Sums over pixels for losses: entry points of the group ``smp_losses.kernels``, which says what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from smp_kernels.checks import check_sums
from smp_kernels.launching import device_class, launch, or_plain, size_class
from smp_kernels.pixel_kernel import (
    focal_gradient_kernel,
    focal_sums_kernel,
    region_gradient_kernel,
    region_sums_kernel,
)
from smp_kernels.pixel_plain import plain_focal_sums, plain_region_sums, sums_dtype

# A program holds all classes of its pixels.
MAX_CLASSES = 128
# As many as several fit on each processor of the largest GPUs; each writes a row.
_PROGRAMS = 1024

_Focal = tuple[float | None, float, float | None]


def softmax_sums(scores: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Of softmax(scores): what it has in common with the labels, itself, and the labels, each summed per class.

    Args:
        scores: (N, C, P), floating-point, any layout.
        target: (N, P), int64, class indices.
        valid: (N, P) bool, or None; what is not valid counts nowhere, whatever its score.

    Returns:
        (C,) each, float64 of float64, else float32; differentiable in the scores.

    Raises:
        RuntimeError: shapes, dtypes or devices that do not fit each other; says what was expected.

    >>> both, predicted, labelled = softmax_sums(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 0, 1]]), None)
    >>> both, predicted, labelled
    (tensor([1.5000, 0.5000]), tensor([2., 2.]), tensor([3., 1.]))
    """
    check_sums("softmax_sums", scores, target, valid)
    if scores.shape[1] > MAX_CLASSES:
        return plain_region_sums(scores, target, valid)
    both, predicted, labelled = _RegionSums.apply(scores, target, valid)
    return both, predicted, labelled


def focal_sums(
    scores: Tensor,
    target: Tensor,
    valid: Tensor | None,
    alpha: float | None,
    gamma: float,
    threshold: float | None,
) -> Tensor:
    """Focal terms of each class against all others, summed per class (Lin et al., arXiv:1708.02002).

    Args:
        scores, target, valid: as for `softmax_sums`.
        alpha: weight of the class of a pixel, 1 - alpha that of the others; None: 1 for all.
        gamma: exponent.
        threshold: the factor is 1 where the probability of the truth is below it, and divided by its power elsewhere.

    Returns:
        (C,), float64 of float64, else float32; differentiable in the scores.

    Raises:
        RuntimeError: as `softmax_sums`.
    """
    check_sums("focal_sums", scores, target, valid)
    if scores.shape[1] > MAX_CLASSES:
        return plain_focal_sums(scores, target, valid, alpha, gamma, threshold)
    sums: Tensor = _FocalSums.apply(scores, target, valid, (alpha, gamma, threshold))
    return sums


class _RegionSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(scores, target, valid)

        both, predicted, labelled, *beyond = or_plain(
            "softmax_sums",
            _key(scores),
            lambda: _summed(region_sums_kernel, scores, target, valid, 4),
            lambda: list(plain_region_sums(scores, target, valid)),
        )
        _check(beyond)
        ctx.mark_non_differentiable(labelled)
        return both, predicted, labelled

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scores, target, valid = ctx.saved_tensors
        grads = grads[:2]

        def plain() -> Tensor:
            return _differentiated(lambda x: plain_region_sums(x, target, valid)[:2], scores, grads)

        def run() -> Tensor:
            of_sums = [item.contiguous() for item in grads]
            return _gradient(region_gradient_kernel, scores, target, valid, of_sums)

        if torch.is_grad_enabled():
            return plain(), None, None
        return or_plain("the gradient of softmax_sums", _key(scores), run, plain), None, None


class _FocalSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, target: Tensor, valid: Tensor | None, options: _Focal) -> Tensor:
        ctx.save_for_backward(scores, target, valid)
        ctx.options = options

        sums, *beyond = or_plain(
            "focal_sums",
            _key(scores),
            lambda: _summed(focal_sums_kernel, scores, target, valid, 2, options),
            lambda: [plain_focal_sums(scores, target, valid, *options)],
        )
        _check(beyond)
        return sums

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scores, target, valid = ctx.saved_tensors

        def plain() -> Tensor:
            return _differentiated(lambda x: (plain_focal_sums(x, target, valid, *ctx.options),), scores, grads)

        def run() -> Tensor:
            return _gradient(focal_gradient_kernel, scores, target, valid, [grads[0].contiguous()], ctx.options)

        if torch.is_grad_enabled():
            return plain(), None, None, None
        return or_plain("the gradient of focal_sums", _key(scores), run, plain), None, None, None


def _differentiated(run: Callable[[Tensor], tuple[Tensor, ...]], scores: Tensor, grads: tuple[Tensor, ...]) -> Tensor:
    """The gradient by torch's own; differentiable where gradients are wanted."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        x = scores if again else scores.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(run(x), x, grads, create_graph=again)
    return gradient


def _key(scores: Tensor) -> tuple[Any, ...]:
    return scores.shape[1], scores.dtype, scores.device.type, size_class(scores.shape[0] * scores.shape[2])


def _given(scores: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Any, ...]:
    target = target.contiguous()
    # Not read where there is none; bools are bytes to Triton.
    counted = target if valid is None else valid.contiguous().view(torch.uint8)
    return scores, *scores.stride(), target, counted


def _constants(scores: Tensor, valid: Tensor | None, options: _Focal | None) -> dict[str, Any]:
    classes = scores.shape[1]
    return {
        **({} if options is None else _numbers(*options)),
        "C": classes,
        "HAS_VALID": valid is not None,
        "ACC": tl.float64 if scores.dtype == torch.float64 else tl.float32,
        "BLOCK_C": max(2, 1 << (classes - 1).bit_length()),
    }


def _numbers(alpha: float | None, gamma: float, threshold: float | None) -> dict[str, Any]:
    """The options of the focal loss, which stay for a training, as constants: arguments would be float32."""
    least = 1.0 if threshold is None else float(threshold)
    return {
        "ALPHA": 0.0 if alpha is None else float(alpha),
        "GAMMA": float(gamma),
        "THRESHOLD": least,
        "SCALE": least ** -float(gamma),
        "HAS_ALPHA": alpha is not None,
        "HAS_THRESHOLD": threshold is not None,
    }


def _summed(
    kernel: Any, scores: Tensor, target: Tensor, valid: Tensor | None, rows: int, options: _Focal | None = None
) -> list[Tensor]:
    """The rows that a kernel of sums writes, each added up over its programs: (C,) each."""
    images, classes, pixels = scores.shape
    programs = min(_PROGRAMS, images * triton.cdiv(pixels, 64))
    partial = torch.empty(programs, rows, classes, dtype=sums_dtype(scores), device=scores.device)
    launch(
        kernel,
        (programs,),
        scores,
        *(*_given(scores, target, valid), partial, images, pixels),
        *(size_class(images * pixels), device_class(scores)),
        **_constants(scores, valid, options),
    )
    return list(partial.sum(0).unbind(0))


def _gradient(
    kernel: Any,
    scores: Tensor,
    target: Tensor,
    valid: Tensor | None,
    of_sums: list[Tensor],
    options: _Focal | None = None,
) -> Tensor:
    """The gradient of the scores, in their dtype and layout."""
    images, _, pixels = scores.shape
    gradient = torch.empty_like(scores)
    launch(
        kernel,
        lambda chosen: (images * triton.cdiv(pixels, chosen["BLOCK_P"]),),
        scores,
        *(*_given(scores, target, valid), *of_sums, gradient, *gradient.stride(), pixels),
        *(size_class(images * pixels), device_class(scores)),
        **_constants(scores, valid, options),
    )
    return gradient


def _check(beyond: list[Tensor]) -> None:
    """Stop on labels beyond the classes, as gathering by them does by itself; nobody waits for the device."""
    for row in beyond:
        torch._assert_async(row[0] == 0)
