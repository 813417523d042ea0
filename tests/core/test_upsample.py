"""The fused upsampling against its plain form, and the transposed kernel against loops in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from smp_core.errors import OptionError
from smp_core.layers.forms import use_form
from smp_core.layers.unet_block import UnetBlock
from smp_core.layers.upsample import (
    INTERPOLATIONS,
    UpsampleConcatBlock,
    convolve_transposed,
    is_transposed,
    transposed_kernel,
    upsample_concat,
)

sizes = st.integers(1, 40)
few = st.integers(1, 6)


@pytest.fixture(autouse=True, scope="module")
def transposed() -> Iterator[None]:
    """The fast form also at small sizes, where it is not the faster one."""
    with use_form("upsample_conv3x3", "transposed"):
        yield


def plain(conv: nn.Conv2d, x: Tensor, skip: Tensor | None, height: int, width: int, mode: str = "nearest") -> Tensor:
    """What the layer must equal, written down without any identity."""
    up = functional.interpolate(x, size=(height, width), mode=mode)
    joined = up if skip is None else torch.cat([up, skip], dim=1)
    return functional.conv2d(joined, conv.weight, conv.bias, padding=1)


class UpsampleConcatConv2d(nn.Conv2d):
    """The fast form where it holds, in a module of its own."""

    def __init__(self, up: int, skip: int, out: int, *, bias: bool, interpolation: str = "nearest") -> None:
        super().__init__(up + skip, out, 3, padding=1, bias=bias)
        self.mode = interpolation

    def forward(self, x: Tensor, skip: Tensor | None, height: int, width: int) -> Tensor:  # type: ignore[override]
        if is_transposed(x, height, width, self.mode):
            return convolve_transposed(x, skip, height, width, None, self.weight, self.bias)
        return super().forward(upsample_concat(x, skip, height, width, None, self.mode))


class Calls(TorchFunctionMode):
    """The names of the functions that were called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        self.names.append(getattr(function, "__name__", ""))
        return function(*arguments, **(keywords or {}))


@given(sizes, sizes, few, st.integers(0, 5), few, st.booleans(), st.integers(1, 2), st.data())
def test_output_and_gradients_equal_the_plain_form(
    height: int, width: int, up: int, skip: int, out: int, bias: bool, batch: int, data: st.DataObject
) -> None:
    torch.manual_seed(0)
    # Half the size, rounded up, is what a U-shape has; any other takes the plain form.
    h = data.draw(st.just((height + 1) // 2) | sizes, label="h")
    w = data.draw(st.just((width + 1) // 2) | sizes, label="w")
    layer = UpsampleConcatConv2d(up, skip, out, bias=bias).double()
    x = torch.randn(batch, up, h, w, dtype=torch.float64, requires_grad=True)
    side = torch.randn(batch, skip, height, width, dtype=torch.float64, requires_grad=True) if skip else None
    inputs = [item for item in (x, side, layer.weight, layer.bias) if item is not None]
    ours, theirs = layer(x, side, height, width), plain(layer, x, side, height, width)
    torch.testing.assert_close(ours, theirs)
    towards = torch.randn_like(theirs)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, towards), torch.autograd.grad(theirs, inputs, towards), strict=True
    ):
        torch.testing.assert_close(a, b)


_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.03, torch.float16: 4e-3}


@pytest.mark.parametrize("dtype", _TOLERANCE, ids=str)
@given(sizes, sizes, few, st.integers(0, 5))
@settings(derandomize=True, max_examples=15)
def test_other_dtypes_stay_as_close_as_they_can(
    dtype: torch.dtype, height: int, width: int, up: int, skip: int
) -> None:
    torch.manual_seed(0)
    layer = UpsampleConcatConv2d(up, skip, 3, bias=True).to(dtype)
    x = torch.randn(1, up, (height + 1) // 2, (width + 1) // 2).to(dtype)
    side = torch.randn(1, skip, height, width).to(dtype) if skip else None
    ours = layer(x, side, height, width)
    assert ours.dtype == dtype
    theirs = plain(layer.double(), x.double(), None if side is None else side.double(), height, width)
    scale = max(theirs.abs().max().item(), 1.0)
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=_TOLERANCE[dtype] * scale)


@given(st.sampled_from(INTERPOLATIONS), sizes, sizes, st.integers(1, 20), st.integers(1, 20), st.integers(0, 3))
def test_every_interpolation(mode: str, height: int, width: int, h: int, w: int, skip: int) -> None:
    layer = UpsampleConcatConv2d(2, skip, 3, bias=True, interpolation=mode)
    x = torch.rand(1, 2, h, w)
    side = torch.rand(1, skip, height, width) if skip else None
    torch.testing.assert_close(layer(x, side, height, width), plain(layer, x, side, height, width, mode))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_memory_layouts(layout: torch.memory_format) -> None:
    layer = UpsampleConcatConv2d(4, 3, 5, bias=True).to(memory_format=layout)
    x = torch.rand(2, 4, 5, 6).to(memory_format=layout)
    side = torch.rand(2, 3, 9, 12).to(memory_format=layout)
    torch.testing.assert_close(layer(x, side, 9, 12), plain(layer, x, side, 9, 12))


@pytest.mark.parametrize(
    ("shape", "size", "fused"),
    [
        ((4, 5), (8, 10), True),
        ((4, 5), (7, 9), True),
        ((4, 5), (8, 9), True),
        ((4, 5), (6, 10), False),
        ((4, 5), (4, 5), False),
    ],
)
def test_on_the_cpu_nothing_is_upsampled_or_concatenated(shape: Any, size: Any, fused: bool) -> None:
    layer = UpsampleConcatConv2d(2, 3, 4, bias=False)
    with Calls() as calls:
        layer(torch.rand(1, 2, *shape), torch.rand(1, 3, *size), *size)
    assert ("conv_transpose2d" in calls.names) is fused
    assert ("interpolate" in calls.names) is ("cat" in calls.names) is not fused


def test_only_nearest_is_fused() -> None:
    layer = UpsampleConcatConv2d(2, 0, 4, bias=False, interpolation="bilinear")
    with Calls() as calls:
        layer(torch.rand(1, 2, 4, 4), None, 8, 8)
    assert "conv_transpose2d" not in calls.names


def test_inputs_are_left_alone() -> None:
    layer = UpsampleConcatConv2d(2, 3, 4, bias=True)
    x, side = torch.rand(1, 2, 4, 4), torch.rand(1, 3, 7, 7)
    before = x.clone(), side.clone(), layer.weight.clone()
    layer(x, side, 7, 7)
    assert torch.equal(x, before[0])
    assert torch.equal(side, before[1])
    assert torch.equal(layer.weight, before[2])


def test_an_unknown_interpolation() -> None:
    message = "unknown interpolation 'cubic'; expected one of nearest, bilinear, bicubic, area, nearest-exact"
    with pytest.raises(OptionError, match=f"^{message}$"):
        UpsampleConcatBlock("cubic")


# --- the kernel


def _conv_of_repeated(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Every input pixel four times, then a 3x3 convolution with padding 1, in loops."""
    up = x.repeat(2, axis=1).repeat(2, axis=2)
    padded = np.pad(up, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((weight.shape[0], up.shape[1], up.shape[2]))
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            window = padded[:, row : row + 3, column : column + 3]
            out[:, row, column] = (weight * window).sum(axis=(1, 2, 3))
    return out


def _transposed(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A transposed convolution of stride 2 and padding 1, in loops: every input pixel stamps the kernel."""
    out = np.zeros((kernel.shape[1], 2 * x.shape[1] + 2, 2 * x.shape[2] + 2))
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            stamp = np.einsum("i,iohw->ohw", x[:, row, column], kernel)
            out[:, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4] += stamp
    return out[:, 1:-1, 1:-1]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_transposed_kernel(inputs: int, outputs: int, height: int, width: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    weight = generator.normal(size=(outputs, inputs, 3, 3))
    x = generator.normal(size=(inputs, height, width))
    kernel = transposed_kernel(torch.from_numpy(weight))
    assert kernel.shape == (inputs, outputs, 4, 4)
    np.testing.assert_allclose(_transposed(x, kernel.numpy()), _conv_of_repeated(x, weight), atol=1e-12)


def test_one_weight_lands_on_four_places() -> None:
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 0, 2] = 1.0  # top right, flipped: bottom left
    expected = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]], dtype=torch.float32)
    assert torch.equal(transposed_kernel(weight)[0, 0], expected)


# --- blocks


@pytest.mark.parametrize("norm", ["batchnorm", "identity", "layernorm"])
def test_the_block_with_norm_and_relu(norm: str) -> None:
    block = UpsampleConcatBlock("nearest")
    block.conv1 = block.join(7, 5, norm)
    block.eval()
    assert block.has_stock_parts()
    keys = {"conv1.0.weight", "conv1.0.bias"} if norm == "identity" else {"conv1.0.weight", "conv1.1.weight"}
    assert set(block.state_dict()) >= keys
    x, side = torch.rand(1, 4, 3, 4), torch.rand(1, 3, 6, 7)
    expected = torch.relu(block.conv1[1](plain(block.conv1[0], x, side, 6, 7)))
    torch.testing.assert_close(block.fused(x, side, 6, 7, None), expected)
    torch.testing.assert_close(block.conv1(block.concat(x, side, 6, 7, None)), expected)


@pytest.mark.parametrize("attention", [None, "scse"])
@pytest.mark.parametrize("skip", [0, 20])
def test_a_level_of_a_u_shape(attention: str | None, skip: int) -> None:
    block = UnetBlock(20, skip, 24, norm="batchnorm", attention_type=attention, interpolation="nearest").eval()
    x, side = torch.rand(1, 20, 3, 4), torch.rand(1, skip, 5, 8) if skip else None
    up = functional.interpolate(x, size=(5, 8))
    joined = up if side is None else block.attention1(torch.cat([up, side], dim=1))
    first = torch.relu(block.conv1[1](functional.conv2d(joined, block.conv1[0].weight, padding=1)))
    torch.testing.assert_close(block(x, side, 5, 8), block.attention2(block.conv2(first)))
    # Attention over the joined maps only where there is something to join; otherwise its parameters are dead.
    assert {item.requires_grad for item in block.attention1.parameters()} == ({bool(skip)} if attention else set())


def test_an_unknown_attention() -> None:
    with pytest.raises(OptionError, match=r"^unknown attention 'se'; expected None or 'scse'$"):
        UnetBlock(4, 4, 4, norm=True, attention_type="se", interpolation="nearest")
