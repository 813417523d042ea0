"""The focal terms of every pixel and class: as plain formulas, and summed with a backward pass in closed form.

With z = x for a negative and -x for a positive pixel, the cross-entropy is softplus(z), the probability of the truth is
sigmoid(-z), and the focal term is sigmoid(z) ** gamma * softplus(z).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from smp_losses.inputs import wants_plain_form
from smp_losses.reduce import class_sums


@dataclass(frozen=True)
class FocalOptions:
    """What shapes the focal terms."""

    alpha: float | None
    gamma: float
    threshold: float | None


def terms_of_signed(z: Tensor, gamma: float, threshold: float | None) -> tuple[Tensor, Tensor]:
    """The focal factor and the cross-entropy of hard labels, from the signed logits; any derivative is finite."""
    # Powers through the logarithm: their slope is finite at 0, whatever gamma.
    factor = (gamma * logsigmoid(z)).exp()
    if threshold is not None:
        factor = torch.where(torch.sigmoid(-z) < threshold, 1, factor / threshold**gamma)
    return factor, -logsigmoid(-z)


def terms_of_maps(x: Tensor, target: Tensor, options: FocalOptions) -> tuple[Tensor, Tensor]:
    """Focal factor and cross-entropy for targets in [0, 1], of one shape; soft labels too."""
    hard = (target == 0) | (target == 1)
    factor, entropy = terms_of_signed(torch.where(target > 0.5, -x, x), options.gamma, options.threshold)
    # For soft labels the cross-entropy is never 0, so that nothing below has an infinite slope there.
    soft_entropy = -target * logsigmoid(x) - (1 - target) * logsigmoid(-x)
    wrong = -torch.expm1(-torch.where(hard, 1, soft_entropy))
    soft_factor = wrong**options.gamma
    if options.threshold is not None:
        soft_factor = torch.where(1 - wrong < options.threshold, 1, soft_factor / options.threshold**options.gamma)
    factor = torch.where(hard, factor, soft_factor)
    entropy = torch.where(hard, entropy, soft_entropy)
    if options.alpha is not None:
        entropy = entropy * (options.alpha * target + (1 - options.alpha) * (1 - target))
    return factor, entropy


def terms_of_indices(x: Tensor, target: Tensor, options: FocalOptions) -> tuple[Tensor, Tensor]:
    """Focal factor and cross-entropy, (N, C, P), of each class against all others; target (N, P) class indices."""
    index = target.unsqueeze(1)
    factor, entropy = terms_of_signed(x.scatter(1, index, -x.gather(1, index)), options.gamma, options.threshold)
    if options.alpha is not None:
        share = torch.full_like(x, 1 - options.alpha).scatter(1, index, options.alpha)
        entropy = entropy * share
    return factor, entropy


def index_sums(
    x: Tensor,
    target: Tensor,
    valid: Tensor | None,
    options: FocalOptions,
    kernel: Callable[..., Tensor] | None = None,
) -> Tensor:
    """Sums of the focal terms per class, (C,), over the pixels that count; target (N, P) class indices.

    ``kernel`` is `smp_losses.kernels.FOCAL`, where there is one.
    """
    if kernel is not None:
        return kernel(x, target, valid, options.alpha, options.gamma, options.threshold)
    if not wants_plain_form():
        needs_gradient = torch.is_grad_enabled() and x.requires_grad
        sums: Tensor = _IndexSums.apply(x, target, valid, options, needs_gradient)
        return sums
    return _plain_index_sums(x, target, valid, options)


def _plain_index_sums(x: Tensor, target: Tensor, valid: Tensor | None, options: FocalOptions) -> Tensor:
    factor, entropy = terms_of_indices(x, target, options)
    terms = factor * entropy
    if valid is not None:
        terms = terms * valid.unsqueeze(1)
    return terms.sum((0, 2))


def _power(base: Tensor, exponent: float) -> Tensor:
    if exponent == 2:
        return base * base
    return torch.ones_like(base) if exponent == 0 else base**exponent


def _negatives(x: Tensor, gamma: float, threshold: float | None, slope: bool) -> tuple[Tensor, Tensor | None]:
    """Focal term of negative pixels and, if asked for, its derivative; few passes and few buffers.

    log(1 + e) with its rounding made good stands for log1p(e), which torch computes eight times as slowly on a CPU.
    """
    small = x.abs().neg_().exp_()
    one_more = small + 1
    small.sub_(one_more - 1).div_(one_more)
    entropy = one_more.log_().add_(small).add_(x.clamp_min(0))
    del small, one_more
    wrong = torch.sigmoid(x)
    factor = _power(wrong, gamma)
    flat = None
    if threshold is not None:
        flat = wrong > 1 - threshold
        factor = factor.div_(threshold**gamma).masked_fill_(flat, 1)
    if not slope:
        return entropy.mul_(factor), None
    # d/dx p**gamma * s = p**gamma * (gamma * (1 - p) * s + p), and p where the factor is flat.
    derivative = wrong.neg().add_(1).mul_(gamma).mul_(entropy)
    if flat is not None:
        derivative.masked_fill_(flat, 0)
    derivative.add_(wrong).mul_(factor)
    return entropy.mul_(factor), derivative


class _IndexSums(torch.autograd.Function):
    """Sums per class of the focal terms against class indices; the gradient is made along with the sums.

    All pixels are treated as negatives of all classes; the one positive of each pixel is then put in its place. No
    one-hot target is made, and nothing but the gradient is kept. On a CPU this is done image by image, which keeps the
    buffers small.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, target: Tensor, valid: Tensor | None, options: FocalOptions, needs_gradient: bool
    ) -> Tensor:
        size = 1 if x.device.type == "cpu" else max(1, x.shape[0])
        gradient = torch.empty_like(x) if needs_gradient else None
        sums = x.new_zeros(x.shape[1])
        for start in range(0, x.shape[0], size):
            part = slice(start, start + size)
            sums += _IndexSums._part(
                x[part],
                target[part],
                None if valid is None else valid[part],
                options,
                None if gradient is None else gradient[part],
            )
        ctx.options = options
        ctx.save_for_backward(x, target, valid, gradient)
        return sums

    @staticmethod
    def _part(
        x: Tensor, target: Tensor, valid: Tensor | None, options: FocalOptions, gradient: Tensor | None
    ) -> Tensor:
        index = target.unsqueeze(1)
        slope = gradient is not None
        terms, derivative = _negatives(x, options.gamma, options.threshold, slope)
        positives, positive_derivative = _negatives(-x.gather(1, index), options.gamma, options.threshold, slope)
        terms.scatter_(1, index, 0)
        if options.alpha is not None:
            terms *= 1 - options.alpha
            positives *= options.alpha
        if valid is not None:
            terms *= valid.unsqueeze(1)
            positives *= valid.unsqueeze(1)
        if gradient is not None and derivative is not None and positive_derivative is not None:
            if options.alpha is not None:
                derivative *= 1 - options.alpha
                positive_derivative *= options.alpha
            derivative.scatter_(1, index, positive_derivative.neg_())
            gradient.copy_(derivative) if valid is None else torch.mul(derivative, valid.unsqueeze(1), out=gradient)
        return terms.sum((0, 2)) + class_sums(positives.squeeze(1), target, x.shape[1]).sum(0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, target, valid, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            sums = _plain_index_sums(x, target, valid, ctx.options)
            (result,) = torch.autograd.grad(sums, x, grads[0], create_graph=True)
            return result, None, None, None, None
        return gradient * grads[0].view(1, -1, 1), None, None, None, None


def map_sums(x: Tensor, target: Tensor, valid: Tensor | None, options: FocalOptions) -> Tensor:
    """Sums of the focal terms per class, (C,), over what counts; target 0 or 1, and like valid of the shape of x."""
    share = None if valid is None else valid.to(x.dtype)
    if options.alpha is not None:
        alphas = target * (2 * options.alpha - 1) + (1 - options.alpha)
        share = alphas if share is None else alphas * share
    needs_gradient = torch.is_grad_enabled() and x.requires_grad
    sums: Tensor = _SignedSums.apply(x * (1 - 2 * target), share, options, needs_gradient)
    return sums


def _plain_signed_sums(z: Tensor, share: Tensor | None, options: FocalOptions) -> Tensor:
    factor, entropy = terms_of_signed(z, options.gamma, options.threshold)
    terms = factor * entropy
    return (terms if share is None else terms * share).sum((0, 2))


class _SignedSums(torch.autograd.Function):
    """Sums per class of the focal terms of signed logits; the gradient is made along with the sums."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, share: Tensor | None, options: FocalOptions, needs_gradient: bool) -> Tensor:
        terms, gradient = _negatives(z, options.gamma, options.threshold, needs_gradient)
        if share is not None:
            terms *= share
            if gradient is not None:
                gradient *= share
        ctx.options = options
        ctx.save_for_backward(z, share, gradient)
        return terms.sum((0, 2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        z, share, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            sums = _plain_signed_sums(z, share, ctx.options)
            (result,) = torch.autograd.grad(sums, z, grads[0], create_graph=True)
            return result, None, None, None
        return gradient * grads[0].view(1, -1, 1), None, None, None
