"""Compile every kernel for an A100 and an H100, without either. A script; it prints what it compiled for which."""

from __future__ import annotations

from typing import Any

import triton.language as tl
from triton import compiler
from triton.backends.compiler import GPUTarget

from smp_kernels.step_kernel import step_kernel

CAPABILITIES = (80, 90)

# The types of arguments that are no constants; whole numbers of 32 bits otherwise.
STEP_TENSORS = dict.fromkeys(("x", "skip", "weight", "phases", "bias", "out"), "*bf16")
STEP_ONES = ("x_c", "s_c", "w_i", "p_o", "o_c")
STEP = {
    "UP": 64, "SKIP": 64, "OUT": 32, "PHASES": True, "HAS_BIAS": True, "RELU": True, "WIDE": False, "ACC": tl.float32,
    "PRECISION": "tf32", "WIDEN": False, "BLOCK_N": 32, "BLOCK_K": 64, "BLOCK_M": 128,
}  # fmt: skip


def compiled(kernel: Any, types: dict[str, str], ones: tuple[str, ...], constants: dict[str, Any], target: Any) -> Any:
    """The machine code of a kernel whose strides ``ones`` are 1, as channels-last has them."""
    while not hasattr(kernel, "cache_key"):  # below the autotuner
        kernel = kernel.fn
    constants = {**constants, **dict.fromkeys(ones, 1)}
    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else types.get(name, "i32") for name in names}
    # As a launch does for what is aligned: all but sizes.
    aligned = [name for name in names if name not in constants and name not in ("height", "width", "size", "device")]
    source = compiler.ASTSource(
        kernel,
        signature,
        {(names.index(name),): value for name, value in constants.items()},
        {(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    return compiler.compile(source, target)


if __name__ == "__main__":
    for capability in CAPABILITIES:
        target = GPUTarget("cuda", capability, 32)
        assert compiled(step_kernel, STEP_TENSORS, STEP_ONES, STEP, target).asm["cubin"]
        print("step", capability)
