"""What the optional base class does for an encoder: truncation and dilation."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from toy_models import ToyEncoder, encoder_spec

from smp_core.blueprints.compatibility import features_at_depth
from smp_core.encoder import Encoder, EncoderBase, check_encoder
from smp_core.errors import OptionError


@given(st.integers(1, 4), st.sampled_from([8, 16, 32]), st.integers(1, 5))
def test_attributes_agree_with_features_and_with_the_spec(depth: int, output_stride: int, in_channels: int) -> None:
    encoder = ToyEncoder(in_channels=in_channels, depth=depth, output_stride=output_stride)
    assert isinstance(encoder, Encoder)
    check_encoder(encoder)
    features = encoder(torch.zeros(1, in_channels, 64, 32))
    assert [tuple(item.shape) for item in features] == [
        (1, channels, 64 // reduction, 32 // reduction)
        for channels, reduction in zip(encoder.out_channels, encoder.reductions, strict=True)
    ]
    channels, reductions = features_at_depth(encoder_spec(), depth)
    assert encoder.out_channels == (in_channels, *channels[1:])
    assert encoder.reductions == tuple(min(item, output_stride) for item in reductions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "ToyEncoder: in_channels must be at least 1, got 0"),
        ({"depth": 0}, "ToyEncoder: depth must be in 1..4, got 0"),
        ({"depth": 5}, "ToyEncoder: depth must be in 1..4, got 5"),
        ({"output_stride": 4}, "ToyEncoder: output_stride must be 8, 16 or 32, got 4"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        ToyEncoder(**options)


def test_a_dilated_stage() -> None:
    dilated, strided = ToyEncoder(output_stride=8).eval(), ToyEncoder().eval()
    strided.load_state_dict(dilated.state_dict())
    conv = dilated.get_submodule("stage4.0")
    assert isinstance(conv, nn.Conv2d)
    assert (conv.stride, conv.dilation, conv.padding) == ((1, 1), (2, 2), (2, 2))
    x = torch.rand(1, 3, 64, 64)
    deep, deeper = dilated(x)[-1], strided(x)[-1]
    assert (deep.shape, deeper.shape) == ((1, 16, 8, 8), (1, 16, 4, 4))
    stage3 = dilated(x)[3]
    reference = nn.functional.conv2d(stage3, conv.weight, stride=1, dilation=2, padding=2)
    torch.testing.assert_close(deep, torch.relu(dilated.get_submodule("stage4.1")(reference)))


def test_dilation_leaves_shallower_stages_alone() -> None:
    encoder = ToyEncoder(output_stride=8)
    for number in (1, 2, 3):
        conv = encoder.get_submodule(f"stage{number}.0")
        assert (conv.stride, conv.dilation, conv.padding) == ((2, 2), (1, 1), (1, 1))


def test_a_base_without_forward() -> None:
    base = EncoderBase(out_channels=(3,), reductions=(2,), depth=1)
    with pytest.raises(NotImplementedError, match=r"^EncoderBase must implement forward$"):
        base(torch.zeros(1, 3, 4, 4))
