# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
# ruff: noqa: N803, ARG001, RUF059
# A kernel's arguments have no types that mypy knows; its constants are in capitals, as in all of Triton; some arguments
# are there for the autotuner alone, and some results are not used: Triton takes a tuple apart as a whole.
"""Sums over pixels of what the classes' scores and the label of each make: read once, nothing of their size is kept.

Each program takes blocks of pixels, all classes of each, and adds up in a row of its own; the rows are added
afterwards, so that the result does not depend on which program is the faster one. The gradient is made of the scores
anew.
"""

from __future__ import annotations

import triton
import triton.language as tl

from smp_kernels.launching import autotuned

_CONFIGS = [
    triton.Config({"BLOCK_P": pixels}, num_warps=warps) for pixels, warps in ((64, 4), (128, 4), (128, 8), (256, 8))
]


# fmt: off
@triton.jit
def _load(
    scores, s_n, s_c, s_p, target, valid, block, blocks, pixels,
    C: tl.constexpr, HAS_VALID: tl.constexpr, ACC: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):
    """A block of pixels: scores (BLOCK_C, BLOCK_P), labels, which pixels count, and where the block is."""
    n = (block // blocks).to(tl.int64)
    p = (block % blocks) * BLOCK_P + tl.arange(0, BLOCK_P)
    c = tl.arange(0, BLOCK_C)
    inside = p < pixels
    counted = inside
    if HAS_VALID:
        counted = inside & (tl.load(valid + n * pixels + p, mask=inside, other=0) != 0)
    label = tl.load(target + n * pixels + p, mask=counted, other=0)
    places = n * s_n + c.to(tl.int64)[:, None] * s_c + p.to(tl.int64)[None, :] * s_p
    known = counted[None, :] & (c < C)[:, None]
    x = tl.load(scores + places, mask=known, other=0.0).to(ACC)
    hit = (label[None, :] == c[:, None]) & known
    beyond = counted & ((label < 0) | (label >= C))
    return x, hit, known, beyond, n, p


@triton.jit
def _softmax(x, C: tl.constexpr, BLOCK_C: tl.constexpr):
    """Over the classes; 0 beyond them."""
    is_class = (tl.arange(0, BLOCK_C) < C)[:, None]
    raised = tl.exp(x - tl.max(tl.where(is_class, x, float("-inf")), axis=0)[None, :])
    raised = tl.where(is_class, raised, 0.0)
    return raised / tl.sum(raised, axis=0)[None, :]


@triton.jit
def _log_more(z):
    """log(1 + exp(-|z|)), with the rounding of 1 + exp made good."""
    small = tl.exp(-tl.abs(z))
    more = 1.0 + small
    return tl.log(more) + (small - (more - 1.0)) / more


@triton.jit
def _focal(
    x, hit, ALPHA: tl.constexpr, GAMMA: tl.constexpr, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    HAS_ALPHA: tl.constexpr, HAS_THRESHOLD: tl.constexpr,
):
    """The focal term of each class against all others, and its derivative with regard to the score."""
    z = tl.where(hit, -x, x)
    more = _log_more(z)
    # The cross-entropy, and the logarithm of the probability of the wrong answer, which any power is taken through.
    entropy = tl.where(z > 0, z, 0.0) + more
    log_wrong = tl.where(z > 0, 0.0, z) - more
    wrong = tl.exp(log_wrong)
    factor = tl.exp(GAMMA * log_wrong)
    slope = GAMMA * (1.0 - wrong) * entropy
    if HAS_THRESHOLD:
        flat = wrong > 1.0 - THRESHOLD
        factor = tl.where(flat, 1.0, factor * SCALE)
        slope = tl.where(flat, 0.0, slope)
    if HAS_ALPHA:
        factor = tl.where(hit, factor * ALPHA, factor * (1.0 - ALPHA))
    return factor * entropy, tl.where(hit, -factor, factor) * (slope + wrong)


@autotuned(_CONFIGS, ["C", "size", "device"])
@triton.jit(do_not_specialize=["size", "device"])
def region_sums_kernel(
    scores, s_n, s_c, s_p, target, valid, rows, images, pixels, size, device,
    C: tl.constexpr, HAS_VALID: tl.constexpr, ACC: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):
    """Grid: programs. Writes (programs, 4, C): of what probability and label have in common, of probabilities, of
    labels, and in the first place of the last row the number of labels beyond the classes.
    """
    c = tl.arange(0, BLOCK_C)
    both = tl.zeros((BLOCK_C,), ACC)
    predicted = tl.zeros((BLOCK_C,), ACC)
    labelled = tl.zeros((BLOCK_C,), ACC)
    wrong = tl.zeros((BLOCK_C,), ACC)
    blocks = tl.cdiv(pixels, BLOCK_P)
    for block in range(tl.program_id(0), images * blocks, tl.num_programs(0)):
        x, hit, known, beyond, n, p = _load(
            scores, s_n, s_c, s_p, target, valid, block, blocks, pixels, C, HAS_VALID, ACC, BLOCK_C, BLOCK_P
        )
        probability = tl.where(known, _softmax(x, C, BLOCK_C), 0.0)
        both += tl.sum(tl.where(hit, probability, 0.0), axis=1)
        predicted += tl.sum(probability, axis=1)
        labelled += tl.sum(hit.to(ACC), axis=1)
        wrong += tl.sum(beyond.to(ACC), axis=0)
    row = rows + tl.program_id(0) * 4 * C + c
    tl.store(row, both, mask=c < C)
    tl.store(row + C, predicted, mask=c < C)
    tl.store(row + 2 * C, labelled, mask=c < C)
    tl.store(row + 3 * C, tl.where(c == 0, wrong, 0.0), mask=c < C)


@autotuned(_CONFIGS, ["C", "size", "device"])
@triton.jit(do_not_specialize=["size", "device"])
def region_gradient_kernel(
    scores, s_n, s_c, s_p, target, valid, for_both, for_predicted, gradient, g_n, g_c, g_p, pixels, size, device,
    C: tl.constexpr, HAS_VALID: tl.constexpr, ACC: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):
    """Grid: blocks of pixels of all images. Writes the gradient of the scores, given that of the first two sums."""
    c = tl.arange(0, BLOCK_C)
    x, hit, known, beyond, n, p = _load(
        scores, s_n, s_c, s_p, target, valid, tl.program_id(0), tl.cdiv(pixels, BLOCK_P), pixels,
        C, HAS_VALID, ACC, BLOCK_C, BLOCK_P,
    )
    of_both = tl.load(for_both + c, mask=c < C, other=0.0).to(ACC)
    of_predicted = tl.load(for_predicted + c, mask=c < C, other=0.0).to(ACC)
    probability = tl.where(known, _softmax(x, C, BLOCK_C), 0.0)
    weighted = probability * (of_predicted[:, None] + tl.where(hit, of_both[:, None], 0.0))
    result = weighted - probability * tl.sum(weighted, axis=0)[None, :]
    places = n * g_n + c.to(tl.int64)[:, None] * g_c + p.to(tl.int64)[None, :] * g_p
    tl.store(gradient + places, result.to(gradient.dtype.element_ty), mask=(c < C)[:, None] & (p < pixels)[None, :])


@autotuned(_CONFIGS, ["C", "size", "device"])
@triton.jit(do_not_specialize=["size", "device"])
def focal_sums_kernel(
    scores, s_n, s_c, s_p, target, valid, rows, images, pixels, size, device,
    ALPHA: tl.constexpr, GAMMA: tl.constexpr, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    HAS_ALPHA: tl.constexpr, HAS_THRESHOLD: tl.constexpr,
    C: tl.constexpr, HAS_VALID: tl.constexpr, ACC: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):
    """Grid: programs. Writes (programs, 2, C): focal terms, and first in the last row the number of labels beyond."""
    c = tl.arange(0, BLOCK_C)
    terms = tl.zeros((BLOCK_C,), ACC)
    wrong = tl.zeros((BLOCK_C,), ACC)
    blocks = tl.cdiv(pixels, BLOCK_P)
    for block in range(tl.program_id(0), images * blocks, tl.num_programs(0)):
        x, hit, known, beyond, n, p = _load(
            scores, s_n, s_c, s_p, target, valid, block, blocks, pixels, C, HAS_VALID, ACC, BLOCK_C, BLOCK_P
        )
        term, slope = _focal(x, hit, ALPHA, GAMMA, THRESHOLD, SCALE, HAS_ALPHA, HAS_THRESHOLD)
        terms += tl.sum(tl.where(known, term, 0.0), axis=1)
        wrong += tl.sum(beyond.to(ACC), axis=0)
    row = rows + tl.program_id(0) * 2 * C + c
    tl.store(row, terms, mask=c < C)
    tl.store(row + C, tl.where(c == 0, wrong, 0.0), mask=c < C)


@autotuned(_CONFIGS, ["C", "size", "device"])
@triton.jit(do_not_specialize=["size", "device"])
def focal_gradient_kernel(
    scores, s_n, s_c, s_p, target, valid, for_sums, gradient, g_n, g_c, g_p, pixels, size, device,
    ALPHA: tl.constexpr, GAMMA: tl.constexpr, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    HAS_ALPHA: tl.constexpr, HAS_THRESHOLD: tl.constexpr,
    C: tl.constexpr, HAS_VALID: tl.constexpr, ACC: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):
    """Grid: blocks of pixels of all images. Writes the gradient of the scores, given that of the sums."""
    c = tl.arange(0, BLOCK_C)
    x, hit, known, beyond, n, p = _load(
        scores, s_n, s_c, s_p, target, valid, tl.program_id(0), tl.cdiv(pixels, BLOCK_P), pixels,
        C, HAS_VALID, ACC, BLOCK_C, BLOCK_P,
    )
    term, slope = _focal(x, hit, ALPHA, GAMMA, THRESHOLD, SCALE, HAS_ALPHA, HAS_THRESHOLD)
    of_sums = tl.load(for_sums + c, mask=c < C, other=0.0).to(ACC)
    result = tl.where(known, slope * of_sums[:, None], 0.0)
    places = n * g_n + c.to(tl.int64)[:, None] * g_c + p.to(tl.int64)[None, :] * g_p
    tl.store(gradient + places, result.to(gradient.dtype.element_ty), mask=(c < C)[:, None] & (p < pixels)[None, :])
# fmt: on
