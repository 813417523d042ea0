"""Whole decoders by the kernel, chosen by `use_form`, against the plain form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import torch
from torch import Tensor

import smp_core
from smp_core.layers import UnetBlock, form_for, use_form
from smp_kernels import launching


@contextmanager
def form(name: str) -> Iterator[None]:
    with ExitStack() as stack:
        for layer in ("upsample_conv3x3", "known_upsample_conv3x3", "conv3x3"):
            stack.enter_context(use_form(layer, name))
        yield


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("architecture", "optimised"), [("unet", False), ("unet", True), ("unetplusplus", False), ("manet", True)]
)
def test_decoders_by_the_kernel(architecture: str, optimised: bool) -> None:
    launching._failed.clear()
    torch.manual_seed(0)
    options = {"decoder_channels": (16, 8), "encoder_depth": 2}
    if architecture == "manet":
        options["decoder_pab_channels"] = 8
    model = smp_core.create(architecture, "resnet18", encoder_weights=None, **options).eval()  # type: ignore[arg-type]
    run = smp_core.optimize(model) if optimised else model
    x = random(1, 3, 24, 20)
    with torch.no_grad():
        with form("plain"):
            expected = run(x)
        with form("kernel"), torch.profiler.profile() as profile:
            got = run(x)
    assert any("smp_kernels::decoder_step" in event.name for event in profile.events())
    assert launching._failed == set()
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_a_compiled_block_holds_the_operator() -> None:
    launching._failed.clear()
    torch.manual_seed(0)
    block = UnetBlock(4, 3, 5, norm="batchnorm", attention_type=None, interpolation="nearest").eval()
    x, skip = random(1, 4, 3, 4), random(1, 3, 6, 7, seed=1)
    with torch.no_grad():
        with form("plain"):
            expected = block(x, skip, 6, 7)
        with form("kernel"), torch.profiler.profile() as profile:
            got = torch.compile(block, backend="aot_eager", fullgraph=True)(x, skip, 6, 7)
    assert sum("smp_kernels::decoder_step" in event.name for event in profile.events()) >= 2
    assert launching._failed == set()
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_where_it_runs_by_itself() -> None:
    # On the CPU nothing has been measured, and the interpreter is no form to run by.
    assert form_for("conv3x3", random(1, 16, 8, 8), 10**6, 16) == "plain"
