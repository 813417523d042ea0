"""3x3 convolutions as sums of shifted maps, against the plain ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from smp_core.layers.taps import convolve_shifted, convolve_taps, shifted_kernel, taps_kernel


def image(*shape):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x.contiguous(memory_format=torch.channels_last)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(*(st.integers(1, top) for top in (3, 5, 19, 19))),
    outputs=st.integers(1, 3),
    dilation=st.integers(1, 7),
    pixels=st.sampled_from([1, 40, 24_576]),
    with_bias=st.booleans(),
)
def test_taps_are_the_convolution(shape, outputs, dilation, pixels, with_bias):
    x, weight = image(*shape), image(outputs, shape[1], 3, 3)
    bias = torch.arange(outputs, dtype=torch.float64) if with_bias else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smp_core.layers.taps._MOST_PIXELS", pixels)
        out = convolve_taps(x, taps_kernel(weight), bias, dilation)
    torch.testing.assert_close(out, functional.conv2d(x, weight, bias, padding=dilation, dilation=dilation))
    assert out.is_contiguous()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(*(st.integers(1, top) for top in (3, 5, 19, 19))),
    dilation=st.integers(1, 24),
    with_bias=st.booleans(),
)
def test_shifted_is_the_convolution(shape, dilation, with_bias):
    channels = shape[1]
    x, weight = image(*shape), image(channels, 1, 3, 3)
    bias = torch.arange(channels, dtype=torch.float64) if with_bias else None
    expected = functional.conv2d(x, weight, bias, padding=dilation, dilation=dilation, groups=channels)
    out = convolve_shifted(x, shifted_kernel(weight), bias, dilation)
    torch.testing.assert_close(out, expected)
    assert out.is_contiguous(memory_format=torch.channels_last)
