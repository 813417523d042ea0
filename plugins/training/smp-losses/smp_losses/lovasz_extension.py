"""The Lovász extension of the Jaccard loss: sorted errors, weighted by how much each lowers the Jaccard index.

Sorted by falling error, and with G labelled pixels, F of them and B others up to and including one pixel, the Jaccard
loss is 1 - (G - F) / (G + B). What one pixel adds to it is 1 / (G + B) for a labelled one and (G - F) / ((G + B)(G + B
- 1)) for another. Written so, float32 loses no digits in differences of nearly equal numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from smp_losses.inputs import wants_plain_form

# Every number of pixels up to this is exact in float32.
_EXACT = 2**24
# A row of so many pixels keeps a GPU busy by itself.
_LONG_ROW = 2**20
# 2.0 as bits of a float32: above the bits of any error.
_ABOVE = 0x40000000


def jaccard_steps(labelled: Tensor) -> Tensor:
    """What each pixel adds to the Jaccard loss; labelled is (..., M), 0 or 1, in the order of falling errors."""
    m = labelled.shape[-1]
    dtype = labelled.dtype if m < _EXACT else torch.float64
    found = labelled.cumsum(-1, dtype=dtype)
    total = found[..., -1:]
    union = total - found + torch.arange(1, m + 1, device=labelled.device, dtype=dtype)
    # Per pixel one of the two terms of the sum is 0.
    others = (total - found).mul_(1 - labelled)
    steps = others.div_((union - 1).clamp_min_(1)).add_(labelled).div_(union)
    # With nothing labelled the index falls from 1 to 0 at the first pixel.
    steps[..., :1] += total == 0
    return steps.to(labelled.dtype)


def lovasz_rows(errors: Tensor, labelled: Tensor) -> Tensor:
    """The Lovász extension of each row: (R, M) errors, (R, M) labels -> (R,). Differentiable; one batched sort."""
    falling, order = errors.sort(dim=-1, descending=True)
    steps = jaccard_steps(labelled.detach().gather(-1, order))
    return (falling * steps).sum(-1)


def softmax_lovasz(
    logits: Tensor, target: Tensor, valid: Tensor | None, shares: Tensor, per_image: bool, from_logits: bool
) -> Tensor:
    """The sum over images and classes of shares times the Lovász extension.

    Args:
        logits: (N, C, P); probabilities if not from_logits.
        target: (N, P) class indices.
        valid: (N, P) bool or None.
        shares: (G, C), with G = N if per_image, otherwise 1.
    """
    row = logits.shape[2] * (1 if per_image else logits.shape[0])
    if from_logits and logits.dtype == torch.float32 and not wants_plain_form() and _takes_classes_apart(logits, row):
        needs_gradient = torch.is_grad_enabled() and logits.requires_grad
        result: Tensor = _SoftmaxLovasz.apply(logits, target, valid, shares, per_image, needs_gradient)
        return result
    probability = logits.softmax(1) if from_logits else logits
    return _plain(probability, target, valid, shares, per_image)


def _takes_classes_apart(logits: Tensor, row: int) -> bool:
    """Whether classes are sorted one at a time.

    On a CPU, which sorts the bits of float32 as integers four times as fast. And where rows are long enough to keep a
    GPU busy: what sorting takes beside its input, indices of 64 bits among it, is then taken for one class, not all.
    """
    return logits.device.type == "cpu" or row >= _LONG_ROW


def _plain(probability: Tensor, target: Tensor, valid: Tensor | None, shares: Tensor, per_image: bool) -> Tensor:
    n, classes, pixels = probability.shape
    index = target.unsqueeze(1)
    errors = probability.scatter(1, index, 1 - probability.gather(1, index))
    labelled = torch.zeros_like(probability)
    # torch.func.vmap writes into a tensor in a loop over the batch.
    labelled = labelled.scatter(1, index, 1) if wants_plain_form() else labelled.scatter_(1, index, 1)
    if valid is not None:
        errors = errors * valid.unsqueeze(1)
        labelled = labelled * valid.unsqueeze(1)
    if not per_image:
        errors = errors.transpose(0, 1).reshape(1, classes, n * pixels)
        labelled = labelled.transpose(0, 1).reshape(1, classes, n * pixels)
    values = lovasz_rows(errors.flatten(0, 1), labelled.flatten(0, 1))
    return (values * shares.flatten()).sum()


def _are_at_hand(shares: Tensor) -> bool:
    """Whether numbers can be read without waiting for a device."""
    return shares.device.type == "cpu"


class _SoftmaxLovasz(torch.autograd.Function):
    """Lovász-Softmax of float32, one class at a time; nothing but its gradient is kept.

    Errors lie between 0 and 1, where the bits of a float32 grow with its value: they are sorted as integers, for which
    torch has a radix sort. Where it is known which classes have no share, on a CPU, these are not looked at.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        valid: Tensor | None,
        shares: Tensor,
        per_image: bool,
        needs_gradient: bool,
    ) -> Tensor:
        probability = logits.softmax(1)
        gradient = torch.zeros_like(logits) if needs_gradient else None
        total = logits.new_zeros(())
        # Looking at numbers on a GPU would wait for it.
        known = shares.tolist() if _are_at_hand(shares) else None
        for group in range(shares.shape[0]):
            part = slice(group, group + 1) if per_image else slice(None)
            for index in range(shares.shape[1]):
                share = shares[group, index] if known is None else known[group][index]
                if known is None or share:
                    inside = None if valid is None else valid[part]
                    out = None if gradient is None else gradient[part, index]
                    labelled = target[part] == index
                    total += share * _SoftmaxLovasz._row(probability[part, index], labelled, inside, share, out)
        if gradient is not None:
            # From probabilities to logits, in place.
            gradient.mul_(probability)
            gradient.addcmul_(probability, gradient.sum(1, keepdim=True), value=-1)
        ctx.per_image = per_image
        ctx.save_for_backward(logits, target, valid, shares, gradient)
        return total

    @staticmethod
    def _row(
        probability: Tensor, labelled: Tensor, valid: Tensor | None, share: float | Tensor, gradient: Tensor | None
    ) -> Tensor:
        """One class of one group, (n, P): the value; share times the derivative is written into gradient."""
        if valid is not None:
            labelled = labelled & valid
        flags = labelled.flatten().to(probability.dtype)
        errors = (flags - probability.flatten()).abs_()
        if valid is not None:
            errors *= valid.flatten()
        order = (_ABOVE - errors.view(torch.int32)).sort().indices
        steps = torch.empty_like(errors)
        steps[order] = jaccard_steps(flags[order])
        value = (errors * steps).sum()
        if gradient is not None:
            steps *= flags.mul_(-2 * share).add_(share)
            if valid is not None:
                steps *= valid.flatten()
            gradient.copy_(steps.view(probability.shape))
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        logits, target, valid, shares, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            value = _plain(logits.softmax(1), target, valid, shares, ctx.per_image)
            (result,) = torch.autograd.grad(value, logits, grads[0], create_graph=True)
            return result, None, None, None, None, None
        return gradient * grads[0], None, None, None, None, None
