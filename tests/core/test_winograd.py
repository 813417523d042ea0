"""3x3 convolutions with fewer multiplications, against the plain ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from smp_core.layers.winograd import convolve_winograd, winograd_gain, winograd_kernel
from smp_core.layers.winograd_tiles import TILES

SIZES = sorted(TILES)


def image(*shape, dtype=torch.float32):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dilation", [1, 2, 3, 12])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (9, 8), (24, 24)])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("tile", SIZES)
def test_it_is_the_convolution_in_float64(tile, size, dilation, with_bias):
    x, weight = image(2, 5, *size, dtype=torch.float64), image(7, 5, 3, 3, dtype=torch.float64)
    bias = torch.arange(7, dtype=torch.float64) if with_bias else None
    expected = functional.conv2d(x, weight, bias, padding=dilation, dilation=dilation)
    out = convolve_winograd(x, winograd_kernel(weight, TILES[tile]), bias, dilation, TILES[tile])
    torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-11)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("tile", SIZES)
@pytest.mark.parametrize("tiles", [1, 7, 40])
def test_some_rows_at_a_time_give_the_same(monkeypatch, tiles, tile):
    monkeypatch.setattr("smp_core.layers.winograd._TILES_AT_ONCE", tiles)
    test_it_is_the_convolution_in_float64(tile, (35, 9), 1, with_bias=True)
    test_it_is_the_convolution_in_float64(tile, (35, 9), 2, with_bias=False)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    tile=st.sampled_from(SIZES),
    shape=st.tuples(*(st.integers(1, top) for top in (3, 4, 23, 23))),
    outputs=st.integers(1, 4),
    dilation=st.integers(1, 9),
    tiles=st.sampled_from([1, 4, 128]),
)
def test_any_map_and_dilation(tile, shape, outputs, dilation, tiles):
    x, weight = image(*shape, dtype=torch.float64), image(outputs, shape[1], 3, 3, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smp_core.layers.winograd._TILES_AT_ONCE", tiles)
        out = convolve_winograd(x, winograd_kernel(weight, TILES[tile]), None, dilation, TILES[tile])
    expected = functional.conv2d(x, weight, padding=dilation, dilation=dilation)
    torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("tile", "times"), [("winograd_2x2", 2), ("winograd_4x4", 4)])
@pytest.mark.parametrize("channels", [64, 512])
def test_in_float32_it_rounds_about_as_the_convolution_does(tile, times, channels):
    x, weight = image(1, channels, 16, 16).relu(), image(64, channels, 3, 3)
    exact = functional.conv2d(x.double(), weight.double(), padding=1)
    errors = [
        (found - exact).norm() / exact.norm()
        for found in (
            convolve_winograd(x, winograd_kernel(weight, TILES[tile]), None, 1, TILES[tile]),
            functional.conv2d(x, weight, padding=1),
        )
    ]
    assert errors[0] < times * errors[1] < 1e-5


def test_the_gain_counts_what_is_cut_off_and_what_is_padding():
    small, large = TILES["winograd_2x2"], TILES["winograd_4x4"]
    assert winograd_gain(4, 4, 1, large) == (4 + 2 * 3) ** 2 / 36
    assert winograd_gain(400, 400, 1, large) == pytest.approx(4, rel=0.01)
    assert winograd_gain(400, 400, 1, small) == pytest.approx(2.25, rel=0.01)
    # Of a map of 5 x 5 two tiles are needed each way; at a dilation of its size only the middle weight meets anything.
    assert winograd_gain(5, 5, 1, large) == (5 + 2 * 4) ** 2 / 12**2
    assert winograd_gain(8, 8, 8, large) == 8**2 / 48**2
