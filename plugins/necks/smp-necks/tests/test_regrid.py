"""Pyramids of any reductions: from which feature each level is made, what is untouched, sizes, gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smp_necks.regrid import Regrid, nearest

LEVELS = (4, 8, 16, 32)


def build(reductions, **arguments):
    return Regrid(out_channels=range(2, 2 + len(reductions)), reductions=reductions, tokens=False, **arguments)


@pytest.mark.parametrize(
    ("reductions", "sources"),
    [
        ((1, 16, 32, 64), [1, 1, 1, 2]),  # LeViT
        ((1, 7, 14, 28), [1, 1, 2, 3]),  # PiT
        ((7, 14, 14), [0, 0, 1, 2]),  # Sequencer
        ((7, 14, 14, 14), [0, 0, 2, 3]),
        ((4, 8, 16), [0, 1, 2, 2]),  # NesT
        ((12, 17), [0, 0, 1, 1]),  # CrossViT
        ((1, 8, 16, 32), [1, 1, 2, 3]),
        ((1, 2, 4, 8, 16, 32), [2, 3, 4, 5]),
        ((1, 2, 4, 8, 16, 16), [2, 3, 4, 5]),  # dilated
        ((1, 2, 4, 8, 8, 8), [2, 3, 4, 5]),
        ((1, 2, 4, 8, 8, 8, 8, 8), [2, 4, 6, 7]),
        ((1, 6), [1, 1, 1, 1]),
        ((2, 8, 32), [0, 1, 1, 2]),  # 4 between 2 and 8, 16 between 8 and 32: the finer one
        ((1, 2), [1, 1, 1, 1]),
    ],
)
def test_each_level_is_made_from_the_nearest_feature(reductions, sources):
    neck = build(reductions)
    assert neck.sources == nearest(reductions, LEVELS) == sources
    assert neck.reductions == LEVELS
    assert neck.out_channels == tuple(2 + source for source in sources)
    features = [torch.full((1, 2 + number, 9, 8), float(number)) for number in range(len(reductions))]
    for level, source in zip(neck(features), sources, strict=True):
        torch.testing.assert_close(level, torch.full_like(level, source))
    assert not neck.state_dict()


@given(reductions=st.lists(st.integers(1, 80), min_size=1, max_size=6).map(sorted))
def test_no_other_feature_is_nearer(reductions):
    if max(reductions) == 1:
        return
    for level, source in zip(LEVELS, nearest(reductions, LEVELS), strict=True):
        assert reductions[source] > 1
        distance = {item: max(item / level, level / item) for item in reductions if item > 1}
        assert distance[reductions[source]] == min(distance.values())


def test_features_of_the_very_reduction_are_untouched():
    neck = build((1, 4, 8, 16, 32))
    features = [torch.randn(1, 2 + number, 8, 8) for number in range(5)]
    assert all(level is feature for level, feature in zip(neck(features), features[1:], strict=True))


@pytest.mark.parametrize(("output_stride", "sources"), [(8, [1, 1]), (16, [1, 1, 2]), (32, [1, 1, 2, 3])])
def test_levels_beyond_the_output_stride_are_left_out(output_stride, sources):
    neck = build((1, 7, 14, 28), output_stride=output_stride)
    assert (neck.reductions, neck.sources) == (LEVELS[: len(sources)], sources)
    assert len(neck([torch.zeros(1, 2 + number, 8, 8) for number in range(4)])) == len(sources)


def test_at_an_output_stride_the_deepest_of_equal_features_is_the_deepest_level():
    assert build((1, 2, 4, 8, 8, 8), output_stride=8).sources == [2, 5]


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    reductions=st.lists(st.integers(1, 80), min_size=1, max_size=5).map(sorted),
)
@settings(derandomize=True, max_examples=100, deadline=None)
def test_every_level_covers_the_image(height, width, reductions):
    if max(reductions) == 1:
        return
    neck = build(reductions)
    features = [
        torch.zeros(1, 2 + number, -(-height // reduction), -(-width // reduction))
        for number, reduction in enumerate(reductions)
    ]
    for level, target, source in zip(neck(features), LEVELS, neck.sources, strict=True):
        for size, got, rows in zip((height, width), level.shape[2:], features[source].shape[2:], strict=True):
            assert got == -(-rows * reductions[source] // target) >= -(-size // target)


def test_gradients_reach_every_feature_that_is_used():
    neck = build((1, 8, 16, 32))
    features = [torch.randn(1, 2 + number, 4, 4, requires_grad=True) for number in range(4)]
    sum(level.sum() for level in neck(features)).backward()
    assert features[0].grad is None
    assert all((feature.grad > 0).all() for feature in features[1:])
