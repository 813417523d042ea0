"""The kernels compiled to machine code of GPUs, by Triton's own compiler: no GPU is needed for that, nor used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "compile_kernels.py"


def test_the_kernels_compile_for_gpus(tmp_path: Path) -> None:
    backends = pytest.importorskip("triton.backends")
    if "nvidia" not in backends.backends:
        pytest.skip("this Triton compiles for no NVIDIA GPU")
    # A process in which Triton compiles, whatever it does in this one, and with no compiled kernels at hand.
    variables = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, str(SCRIPT)], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sums = ["region 90", "region_gradient 90", "focal 90", "focal_gradient 90"]
    assert done.stdout.splitlines() == ["step 80", "step 90", *sums]
