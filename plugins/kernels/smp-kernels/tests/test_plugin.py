"""What is registered, without Triton: the rules, and that discovery is as light as any plugin's."""

from __future__ import annotations

import importlib
import subprocess
import sys
from unittest import mock

import pytest
import torch

import smp_core
from smp_core.layers import forms
from smp_kernels import plugin


def test_the_plugin_is_found_and_says_where_it_was_measured() -> None:
    (record,) = [item for item in smp_core.plugins() if item.distribution == "smp-kernels"]
    assert record.status == "ok", record.error
    assert len(record.forms) == 6
    assert "conv3x3=kernel cuda bfloat16 float16 channels_last inference >=16384 <=32 eager" in record.forms
    assert all("H100" in rule.measured for rule in plugin.smp_forms())


def test_every_target_exists() -> None:
    pytest.importorskip("triton")
    for target in {str(rule.target) for rule in plugin.smp_forms()}:
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def asked(layer: str, shape: tuple[int, ...], pixels: int, channels: int, **changes: object) -> str:
    """The form on CUDA, of which the rules only see a name."""
    x = torch.zeros(shape, dtype=torch.bfloat16, device="meta").to(memory_format=torch.channels_last)
    x = mock.Mock(spec=torch.Tensor, wraps=x, shape=x.shape, dtype=changes.get("dtype", x.dtype))
    x.device = mock.Mock(type="cuda")
    x.dim.return_value = 4
    x.is_contiguous = lambda memory_format=None: memory_format is not None
    return forms.form_for(layer, x, pixels, channels)


def test_where_the_kernels_run() -> None:
    large = 8 * 256 * 256
    with torch.no_grad():
        assert asked("upsample_conv3x3", (8, 64, 128, 128), large, 128) == "kernel"
        assert asked("known_upsample_conv3x3", (8, 128, 64, 64), large, 192) == "kernel"
        assert asked("conv3x3", (8, 32, 256, 256), large, 32) == "kernel"
        # What was not measured keeps its form.
        assert asked("conv3x3", (8, 64, 128, 128), large, 64) == "plain"
        assert asked("upsample_conv3x3", (8, 256, 32, 32), large, 384) == "plain"
        assert asked("upsample_conv3x3", (8, 64, 128, 128), 64 * 64, 128) == "plain"
        assert asked("upsample_conv3x3", (8, 64, 128, 128), large, 128, dtype=torch.float32) == "plain"
    assert asked("upsample_conv3x3", (8, 64, 128, 128), large, 128) == "plain"


_WITHOUT_TRITON = """
import sys, warnings
sys.modules["triton"] = None
import torch
from smp_core.layers import ConvNormAct, use_form
block, x = ConvNormAct(3, 4, kernel_size=3, padding=1).eval(), torch.ones(1, 3, 8, 8)
expected = block(x)
with warnings.catch_warnings(record=True) as told, use_form("conv3x3", "kernel"):
    warnings.simplefilter("always")
    assert torch.equal(block(x), expected) and torch.equal(block(x), expected)
(warning,) = [str(item.message) for item in told if "kernel" in str(item.message)]
assert "smp_kernels.step:decoder_step cannot be used, and the plain form runs in its place" in warning, warning
assert "triton" in warning, warning
"""


def test_without_triton_everything_runs_and_says_so_once() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_TRITON], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


_WITHOUT_A_DEVICE = """
import warnings
import torch
from smp_core.layers import ConvNormAct, use_form
torch.manual_seed(0)
block, x = ConvNormAct(3, 4, kernel_size=3, padding=1).eval(), torch.ones(1, 3, 8, 8)
expected = block(x)
with warnings.catch_warnings(record=True) as told, use_form("conv3x3", "kernel"):
    warnings.simplefilter("always")
    torch.testing.assert_close(block(x), expected)
    torch.testing.assert_close(block(x), expected)
(warning,) = [str(item.message) for item in told if "smp-kernels" in str(item.message)]
assert "smp-kernels: the kernel of the decoder step failed (" in warning, warning
"""


def test_on_a_device_that_triton_does_not_have_the_plain_form_runs() -> None:
    pytest.importorskip("triton")
    done = subprocess.run([sys.executable, "-c", _WITHOUT_A_DEVICE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
