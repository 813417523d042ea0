"""Compile every kernel for an A100 and an H100, without either. A script; it prints what it compiled for which."""

from __future__ import annotations

from typing import Any

import triton.language as tl
from triton import compiler
from triton.backends.compiler import GPUTarget

from smp_kernels import pixel_kernel
from smp_kernels.step_kernel import step_kernel

# Of each kernel: itself, the types of its arguments that are neither constants nor whole numbers of 32 bits, the
# strides that are 1, the constants.
STEP = (
    step_kernel,
    dict.fromkeys(("x", "skip", "weight", "phases", "bias", "out"), "*bf16"),
    ("x_c", "s_c", "w_i", "p_o", "o_c"),
    {
        "UP": 64, "SKIP": 64, "OUT": 32, "PHASES": True, "HAS_BIAS": True, "RELU": True, "WIDE": False,
        "ACC": tl.float32, "PRECISION": "tf32", "WIDEN": False, "BLOCK_N": 32, "BLOCK_K": 64, "BLOCK_M": 128,
    },
)  # fmt: skip
PIXELS = {"scores": "*bf16", "gradient": "*bf16", "target": "*i64", "valid": "*u8"}
PIXELS.update(dict.fromkeys(("rows", "for_both", "for_predicted", "for_sums"), "*fp32"))
CLASSES = {"C": 19, "HAS_VALID": True, "ACC": tl.float32, "BLOCK_C": 32, "BLOCK_P": 128}
FOCAL = {"ALPHA": 0.25, "GAMMA": 2.0, "THRESHOLD": 0.5, "SCALE": 4.0, "HAS_ALPHA": True, "HAS_THRESHOLD": True}
KERNELS = {
    "step": STEP,
    "region": (pixel_kernel.region_sums_kernel, PIXELS, ("s_p",), CLASSES),
    "region_gradient": (pixel_kernel.region_gradient_kernel, PIXELS, ("s_p", "g_p"), CLASSES),
    "focal": (pixel_kernel.focal_sums_kernel, PIXELS, ("s_p",), {**CLASSES, **FOCAL}),
    "focal_gradient": (pixel_kernel.focal_gradient_kernel, PIXELS, ("s_p", "g_p"), {**CLASSES, **FOCAL}),
}


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
    for name, kernel in KERNELS.items():
        # The matrix product differs between the two; sums do not.
        for capability in (80, 90) if name == "step" else (90,):
            assert compiled(*kernel, GPUTarget("cuda", capability, 32)).asm["cubin"]
            print(name, capability)
