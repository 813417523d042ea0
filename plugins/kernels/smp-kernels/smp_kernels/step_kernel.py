# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
# ruff: noqa: N803, ARG001
# A kernel's arguments have no types that mypy knows; its constants are in capitals, as in all of Triton; some arguments
# are there for the autotuner alone.
"""The decoder step as one kernel: upsample twofold, concatenate, convolve by 3x3, add the bias, ReLU.

Each program computes some pixels of the result by some of its channels. It reads the small map and the skip where they
lie; neither the upsampled map nor the concatenation exists. In `PHASES` a program computes pixels of one parity of row
and of column: these see 2x2 pixels of the small map, whose weights, sums of those of the 3x3 kernel, are the places of
the 4x4 kernel of a transposed convolution (`smp_core.layers.upsample.transposed_kernel`); 4 products in place of 9.
"""

from __future__ import annotations

import triton
import triton.language as tl

from smp_kernels.launching import autotuned

# The first three were measured, see plugin.py; the last two, for few pixels and for many, were not.
_CONFIGS = [
    triton.Config({"BLOCK_M": 64}, num_warps=4, num_stages=3),
    triton.Config({"BLOCK_M": 128}, num_warps=4, num_stages=2),
    triton.Config({"BLOCK_M": 128}, num_warps=8, num_stages=3),
    triton.Config({"BLOCK_M": 32}, num_warps=2, num_stages=3),
    triton.Config({"BLOCK_M": 256}, num_warps=8, num_stages=2),
]


# fmt: off
@triton.jit
def _add_tap(
    acc, maps, places, inside, stride_c, weight, stride_i, stride_o, out_channels,
    CHANNELS: tl.constexpr, OUT: tl.constexpr, PRECISION: tl.constexpr, WIDEN: tl.constexpr, BLOCK_K: tl.constexpr,
):
    """Add what one place of the kernel contributes: pixels by input channels times these by output channels."""
    for start in range(0, CHANNELS, BLOCK_K):
        channels = start + tl.arange(0, BLOCK_K)
        known = channels < CHANNELS
        a = tl.load(
            maps + places[:, None] + channels[None, :] * stride_c, mask=inside[:, None] & known[None, :], other=0.0
        )
        b = tl.load(
            weight + channels[:, None] * stride_i + out_channels[None, :] * stride_o,
            mask=known[:, None] & (out_channels < OUT)[None, :],
            other=0.0,
        )
        if WIDEN:
            a = a.to(tl.float32)
            b = b.to(tl.float32)
        acc = tl.dot(a, b, acc, input_precision=PRECISION)
    return acc


@triton.jit
def _add_small_map(
    acc, n, i, j, row_parity, column_parity, valid, low_height, low_width,
    x, x_n, x_c, x_h, x_w, phases, p_i, p_o, p_h, p_w, out_channels,
    UP: tl.constexpr, OUT: tl.constexpr, PRECISION: tl.constexpr, WIDEN: tl.constexpr, BLOCK_K: tl.constexpr,
):
    """Add what the small map contributes to pixels of one parity: 2x2 of its pixels around (i, j)."""
    for tap in tl.static_range(4):
        r = i + (tap // 2 - 1) + row_parity
        c = j + (tap % 2 - 1) + column_parity
        inside = valid & (r >= 0) & (r < low_height) & (c >= 0) & (c < low_width)
        place = (3 - 2 * (tap // 2) - row_parity) * p_h + (3 - 2 * (tap % 2) - column_parity) * p_w
        acc = _add_tap(
            acc, x, n * x_n + r * x_h + c * x_w, inside, x_c, phases + place, p_i, p_o, out_channels,
            UP, OUT, PRECISION, WIDEN, BLOCK_K,
        )
    return acc


@autotuned(_CONFIGS, ["UP", "SKIP", "OUT", "PHASES", "size", "device"])
@triton.jit(do_not_specialize=["size", "device"])
def step_kernel(
    x, x_n, x_c, x_h, x_w, skip, s_n, s_c, s_h, s_w, weight, w_o, w_i, w_h, w_w, phases, p_i, p_o, p_h, p_w,
    bias, out, o_n, o_c, o_h, o_w, pixels, height, width, size, device,
    UP: tl.constexpr, SKIP: tl.constexpr, OUT: tl.constexpr, PHASES: tl.constexpr, HAS_BIAS: tl.constexpr,
    RELU: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr, WIDEN: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_M: tl.constexpr,
):
    """Grid: blocks of pixels, blocks of output channels, and in `PHASES` the four parities.

    Args:
        x: (N, UP, h, w), its strides after it, as of all tensors here.
        skip: (N, SKIP, H, W).
        weight: (OUT, UP + SKIP, 3, 3).
        phases: (UP, OUT, 4, 4).
        bias: (OUT,).
        out: (N, OUT, H, W), written.
        pixels: of the result; in `PHASES` of each parity.
        height, width: H and W; in `PHASES` even.
        size, device: classes of sizes and of devices, to be tuned by.
        WIDE: whether places need 64 bits.
        ACC: the type of sums.
        WIDEN: whether products are taken in float32; the interpreter multiplies the bits of bfloat16.
    """
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    if WIDE:
        m = m.to(tl.int64)
    valid = m < pixels
    out_channels = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    acc = tl.zeros((BLOCK_M, BLOCK_N), ACC)
    if PHASES:
        row_parity = tl.program_id(2) // 2
        column_parity = tl.program_id(2) % 2
        low_height = height // 2
        low_width = width // 2
        i = (m // low_width) % low_height
        j = m % low_width
        n = m // (low_width * low_height)
        row = 2 * i + row_parity
        column = 2 * j + column_parity
        acc = _add_small_map(
            acc, n, i, j, row_parity, column_parity, valid, low_height, low_width,
            x, x_n, x_c, x_h, x_w, phases, p_i, p_o, p_h, p_w, out_channels, UP, OUT, PRECISION, WIDEN, BLOCK_K,
        )
    else:
        row = (m // width) % height
        column = m % width
        n = m // (width * height)
    for tap in tl.static_range(9):
        r = row + (tap // 3 - 1)
        c = column + (tap % 3 - 1)
        inside = valid & (r >= 0) & (r < height) & (c >= 0) & (c < width)
        here = weight + (tap // 3) * w_h + (tap % 3) * w_w
        if UP > 0 and not PHASES:
            acc = _add_tap(
                acc, x, n * x_n + (r // 2) * x_h + (c // 2) * x_w, inside, x_c, here, w_i, w_o, out_channels,
                UP, OUT, PRECISION, WIDEN, BLOCK_K,
            )
        if SKIP > 0:
            acc = _add_tap(
                acc, skip, n * s_n + r * s_h + c * s_w, inside, s_c, here + UP * w_i, w_i, w_o, out_channels,
                SKIP, OUT, PRECISION, WIDEN, BLOCK_K,
            )
    if HAS_BIAS:
        acc += tl.load(bias + out_channels, mask=out_channels < OUT, other=0.0).to(ACC)[None, :]
    if RELU:
        acc = tl.where(acc < 0, 0.0, acc)  # not the larger of both, which would make 0 of NaN
    places = out + (n * o_n + row * o_h + column * o_w)[:, None] + out_channels[None, :] * o_c
    tl.store(places, acc.to(out.dtype.element_ty), mask=valid[:, None] & (out_channels < OUT)[None, :])
# fmt: on
