"""A transformer's features, resampled: which goes where, their channels, sizes and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smp_necks.levels import spread
from smp_necks.resize_pyramid import ResizePyramid

LEVELS = (4, 8, 16, 32)


@pytest.mark.parametrize(
    ("num_features", "num_levels", "expected"),
    [
        (1, 4, [0, 0, 0, 0]),
        (2, 4, [0, 0, 1, 1]),
        (3, 4, [0, 1, 2, 2]),
        (4, 4, [0, 1, 2, 3]),
        (5, 4, [1, 2, 3, 4]),
        (12, 4, [2, 5, 8, 11]),
        (4, 2, [1, 3]),
        (4, 3, [1, 2, 3]),
        (4, 1, [3]),
    ],
)
def test_earlier_features_go_to_finer_levels_and_the_last_to_the_deepest(num_features, num_levels, expected):
    assert spread(num_features, num_levels) == expected


@given(num_features=st.integers(1, 50), num_levels=st.integers(1, 8))
def test_features_are_spread_evenly(num_features, num_levels):
    sources = spread(num_features, num_levels)
    assert sources == sorted(sources)
    assert sources[-1] == num_features - 1
    steps = [later - earlier for earlier, later in zip([-1, *sources], sources, strict=False)]
    assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize("output_stride", [None, 8, 16])
def test_each_level_is_its_feature_resampled(output_stride):
    neck = ResizePyramid(out_channels=(4, 5, 6), reductions=(16,) * 3, tokens=True, output_stride=output_stride)
    features = [torch.full((1, channels, 6, 7), float(number)) for number, channels in enumerate((4, 5, 6))]
    sources = {None: (0, 1, 2, 2), 8: (1, 2), 16: (0, 1, 2)}[output_stride]
    assert neck.reductions == LEVELS[: len(sources)]
    assert neck.out_channels == tuple((4, 5, 6)[source] for source in sources)
    for level, source, channels in zip(neck(features), sources, neck.out_channels, strict=True):
        torch.testing.assert_close(level, torch.full_like(level, source))
        assert level.shape[1] == channels
    assert not neck.state_dict()


def test_the_level_of_the_features_own_reduction_is_the_feature():
    neck = ResizePyramid(out_channels=(4,), reductions=(16,), tokens=True)
    x = torch.randn(1, 4, 3, 5)
    assert neck([x])[2] is x


@given(height=st.integers(1, 40), width=st.integers(1, 40), reduction=st.integers(1, 40))
@settings(derandomize=True, max_examples=100, deadline=None)
def test_sizes(height, width, reduction):
    neck = ResizePyramid(out_channels=(2, 2), reductions=(reduction,) * 2, tokens=True)
    for level, target in zip(neck([torch.zeros(1, 2, height, width)] * 2), LEVELS, strict=True):
        assert level.shape == (1, 2, -(-height * reduction // target), -(-width * reduction // target))


def test_gradients_reach_every_feature_that_is_used():
    neck = ResizePyramid(out_channels=(3,) * 6, reductions=(14,) * 6, tokens=True)
    features = [torch.randn(1, 3, 5, 4, requires_grad=True) for _ in range(6)]
    sum(level.sum() for level in neck(features)).backward()
    assert [number for number, feature in enumerate(features) if feature.grad is not None] == [1, 2, 4, 5]
    assert all((features[number].grad > 0).all() for number in (1, 2, 4, 5))
