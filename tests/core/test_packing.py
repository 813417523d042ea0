"""Kernels of transposed convolutions that are laid out once as oneDNN reads them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from settled import furthest
from torch import Tensor
from torch.nn import functional

import smp_core
from smp_core.layers import use_form
from smp_core.layers.packing import PackedKernel
from smp_core.layers.unet_block import UnetBlock

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")


def image(*shape: int) -> Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last)


def kernel(inputs: int = 24, outputs: int = 16) -> Tensor:
    return image(inputs, outputs, 4, 4) / inputs


def transposed(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return functional.conv_transpose2d(x, weight, bias, stride=2, padding=1)


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[Tensor | None]:
    """What packed kernels have given, in turn."""
    given: list[Tensor | None] = []
    convolve = PackedKernel.convolve

    def counting(self: PackedKernel, *arguments: Any) -> Tensor | None:
        given.append(convolve(self, *arguments))
        return given[-1]

    monkeypatch.setattr(PackedKernel, "convolve", counting)
    return given


@pytest.mark.parametrize("shape", [(1, 24, 12, 12), (3, 24, 1, 7), (2, 24, 9, 13)])
@pytest.mark.parametrize("bias", [None, torch.ones(16)])
@torch.no_grad()
def test_it_is_torchs_convolution(shape: tuple[int, ...], bias: Tensor | None) -> None:
    x, weight = image(*shape), kernel()
    found = PackedKernel().convolve(x, weight, bias)
    assert found is not None
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, transposed(x, weight, bias), rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_another_kernel_is_laid_out_anew() -> None:
    made, x, weight = PackedKernel(), image(1, 24, 6, 6), kernel()
    for change in (lambda: None, lambda: weight.mul_(2), lambda: weight.zero_()):
        change()
        torch.testing.assert_close(made.convolve(x, weight, None), transposed(x, weight, None))
    other = kernel() + 1
    torch.testing.assert_close(made.convolve(x, other, None), transposed(x, other, None))


def test_gradients_autocast_and_a_missing_library_have_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    made, x, weight = PackedKernel(), image(1, 24, 6, 6), kernel()
    assert made.convolve(x, weight, None) is None
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            assert made.convolve(x, weight, None) is None
        assert made.convolve(x, weight, None) is not None
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        assert made.convolve(x, weight, None) is None


@torch.no_grad()
def test_maps_of_many_sizes_have_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    made, weight = PackedKernel(), kernel()
    small, large = image(1, 24, 6, 6), image(1, 24, 9, 6)
    ran = []
    for x in (small, small, large, large, small, large, small, small, small, small):
        found = made.convolve(x, weight, None)
        ran.append(found is not None)
        if found is not None:
            torch.testing.assert_close(found, transposed(x, weight, None), rtol=1e-6, atol=1e-6)
    assert ran == [True, True, False, True, False, True, False, False, True, True]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert made.convolve(small, weight, None) is None


@pytest.mark.parametrize("again", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
@torch.no_grad()
def test_copies_make_their_own(again: Callable[[PackedKernel], PackedKernel]) -> None:
    made, x, weight = PackedKernel(), image(1, 24, 6, 6), kernel()
    made.convolve(x, weight, None)
    torch.testing.assert_close(again(made).convolve(x, weight, None), transposed(x, weight, None))


def optimized() -> tuple[smp_core.SegmentationModel, Any]:
    torch.manual_seed(0)
    model = smp_core.create("unet", "resnet18", encoder_weights=None).eval()
    return model, smp_core.optimize(model)


@torch.no_grad()
def test_the_deep_levels_of_an_optimized_decoder_have_one(packed: list[Tensor | None]) -> None:
    model, fast = optimized()
    x = image(1, 3, 256, 256)
    found = fast(x)
    assert [item.shape[1:] for item in packed if item is not None] == [(256, 16, 16), (128, 32, 32)]
    assert furthest(found, model(x)) < 5e-5
    with use_form("known_upsample_conv3x3", "transposed"):
        assert furthest(fast(x), found) < 1e-6
    assert len(packed) == 2


@torch.no_grad()
def test_a_written_weight_a_move_and_a_pickle_are_followed(packed: list[Tensor | None]) -> None:
    model, fast = optimized()
    x = image(1, 3, 256, 256)
    fast(x)
    for moved in (fast.double().float(), copy.deepcopy(fast), pickle.loads(pickle.dumps(fast))):
        packed.clear()
        assert furthest(moved(x), model(x)) < 5e-5
        assert packed
    for block in fast.model.decoder.blocks:
        assert isinstance(block, UnetBlock)
        block.conv1[0].weight.data.mul_(3)
        block.conv1[0].bias.data.mul_(3)
    packed.clear()
    with use_form("known_upsample_conv3x3", "plain"), use_form("upsample_conv3x3", "plain"):
        expected = fast(x)
    assert furthest(fast(x), expected) < 1e-5
    assert not packed


@torch.no_grad()
def test_scripts_and_graphs_do_without(packed: list[Tensor | None]) -> None:
    _, fast = optimized()
    x = image(1, 3, 256, 256)
    expected = fast(x)
    packed.clear()
    scripted = torch.jit.script(fast)
    assert furthest(scripted(x), expected) < 1e-5
    torch._dynamo.reset()
    assert furthest(torch.compile(fast, backend="eager", fullgraph=True)(x), expected) < 1e-5
    assert not packed
