"""From one reduction to another: sizes, places and values, against a reference that is written out."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smp_necks.resampling import Resample

REDUCTIONS = st.integers(1, 64)
TARGETS = st.sampled_from([1, 2, 4, 8, 16, 32])
SIZES = st.integers(1, 40)


def reference(row, source, target):
    """One axis, a pixel at a time: means of windows, then linear between the two whose middles are nearest."""
    period, window = target // math.gcd(source, target), 1
    while 2 * window * source <= target:
        window *= 2
    extended = [*row, *[row[-1]] * (-len(row) % period)]
    means = [sum(extended[start : start + window]) / window for start in range(0, len(extended), window)]
    values = []
    for place in range(math.ceil(len(row) * source / target)):
        # Where the middle of this pixel is, counted in windows.
        where = max((place + 0.5) * target / (source * window) - 0.5, 0.0)
        left = math.floor(where)
        share, right = where - left, min(left + 1, len(means) - 1)
        values.append((1 - share) * means[left] + share * means[right])
    return values


@given(height=SIZES, width=SIZES, source=REDUCTIONS, target=TARGETS)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_sizes_are_those_of_the_covered_image_rounded_up(height, width, source, target):
    resampled = Resample(source, target)(torch.zeros(1, 2, height, width))
    assert resampled.shape == (1, 2, -(-height * source // target), -(-width * source // target))


@given(
    row=st.lists(st.integers(-9, 9), min_size=1, max_size=40),
    source=st.integers(1, 40),
    target=TARGETS,
    upright=st.booleans(),
)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_values_are_those_of_the_reference(row, source, target, upright):
    shape = (1, 1, len(row), 1) if upright else (1, 1, 1, len(row))
    resampled = Resample(source, target)(torch.tensor(row, dtype=torch.float64).reshape(shape))
    line = resampled[0, 0, :, 0] if upright else resampled[0, 0, 0]
    expected = torch.tensor(reference(row, source, target), dtype=torch.float64)
    torch.testing.assert_close(line, expected, rtol=0, atol=1e-9)
    # Across a single row or column nothing varies.
    assert torch.allclose(resampled, (line[:, None] if upright else line[None]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("source", [7, 12, 14, 16, 17, 24, 28])
@pytest.mark.parametrize("target", [4, 8, 16, 32])
@pytest.mark.parametrize("size", [20, 37])
def test_nothing_moves(source, target, size):
    """A map that holds the row of the image at the middle of each of its pixels holds that row afterwards."""
    places = (torch.arange(size, dtype=torch.float64) + 0.5) * source
    x = places[:, None].expand(size, size)[None, None]
    rows = Resample(source, target)(x)[0, 0, :, 0]
    expected = (torch.arange(len(rows), dtype=torch.float64) + 0.5) * target
    # At the border there is nothing to interpolate with.
    inside = (expected > places[0] + target) & (expected < places[-1] - target)
    assert inside.sum() >= len(rows) // 2
    torch.testing.assert_close(rows[inside], expected[inside], rtol=0, atol=1e-6)


def test_a_map_of_the_wanted_reduction_is_returned_as_it_is():
    x = torch.randn(1, 3, 5, 7)
    assert Resample(16, 16)(x) is x


@pytest.mark.parametrize(("source", "target"), [(8, 16), (8, 32), (4, 32)])
def test_shrinking_by_a_power_of_two_is_the_mean_of_windows(source, target):
    x, window = torch.randn(2, 3, 16, 24), target // source
    expected = torch.nn.functional.interpolate(x, scale_factor=1 / window, mode="area")
    torch.testing.assert_close(Resample(source, target)(x), expected)


@pytest.mark.parametrize(("source", "target"), [(16, 4), (14, 16), (7, 4), (7, 32), (28, 32), (17, 16), (64, 32)])
def test_every_pixel_counts(source, target):
    x = torch.randn(1, 1, 9, 11, requires_grad=True)
    Resample(source, target)(x).sum().backward()
    assert (x.grad > 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes(dtype):
    for source, target in ((14, 16), (7, 32), (16, 4)):
        assert Resample(source, target)(torch.ones(1, 4, 9, 7, dtype=dtype)).unique().tolist() == [1.0]


def test_what_is_printed():
    assert repr(Resample(14, 16)) == "Resample(14, 16)"
