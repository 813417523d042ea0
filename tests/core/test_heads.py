"""The last layers of a model, against what their documentation says in plain operations."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from smp_core.errors import OptionError
from smp_core.heads import ClassificationHead, SegmentationHead, build_classification_head


@given(
    st.integers(1, 6),
    st.integers(1, 5),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_the_segmentation_head(
    channels: int, classes: int, kernel_size: int, factor: int, height: int, width: int
) -> None:
    head = SegmentationHead(channels, classes, kernel_size=kernel_size, activation="sigmoid", upsampling=factor)
    x = torch.randn(2, channels, height, width)
    scores = functional.conv2d(x, head[0].weight, head[0].bias, padding=kernel_size // 2)
    if factor > 1:
        size = (height * factor, width * factor)
        scores = functional.interpolate(scores, size=size, mode="bilinear", align_corners=True)
    torch.testing.assert_close(head(x), scores.sigmoid())
    assert list(head.state_dict()) == ["0.weight", "0.bias"]


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_classification_head(pooling: str, dropout: float) -> None:
    head = ClassificationHead(6, 4, pooling=pooling, dropout=dropout, activation="softmax").eval()
    x = torch.randn(3, 6, 5, 7)
    pooled = x.mean(dim=(2, 3)) if pooling == "avg" else x.amax(dim=(2, 3))
    expected = functional.linear(pooled, head[3].weight, head[3].bias).softmax(dim=1)
    torch.testing.assert_close(head(x), expected)
    assert isinstance(head[2], nn.Dropout if dropout else nn.Identity)
    assert list(head.state_dict()) == ["3.weight", "3.bias"]


def test_the_classification_head_of_aux_params() -> None:
    assert build_classification_head(6, None) is None
    head = build_classification_head(6, {"classes": 4})
    assert isinstance(head, ClassificationHead)
    assert head(torch.zeros(1, 6, 2, 2)).shape == (1, 4)
    assert head[2].p == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("aux_params", "message"),
    [
        ({}, "aux_params: no key 'classes'; expected 'classes' and, optionally, pooling, dropout, activation"),
        (
            {"classes": 3, "pool": "avg", "drop": 0.1},
            "aux_params: unknown key 'pool', 'drop'; expected 'classes' and, optionally, pooling, dropout, activation",
        ),
        ({"classes": 3, "in_channels": 4}, "aux_params: unknown key 'in_channels'; expected 'classes'"),
        ({"classes": 3, "pooling": "median"}, "unknown pooling 'median'; expected one of avg, max"),
        ({"classes": 3, "activation": "relu"}, "unknown activation 'relu'; expected None, a callable, or one of"),
    ],
)
def test_aux_params_that_cannot_be(aux_params: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}"):
        build_classification_head(6, aux_params)


@pytest.mark.parametrize("factor", [0, -2])
def test_a_head_does_not_shrink(factor: int) -> None:
    with pytest.raises(OptionError, match=f"^upsampling must be at least 1, got {factor}$"):
        SegmentationHead(3, 1, upsampling=factor)
