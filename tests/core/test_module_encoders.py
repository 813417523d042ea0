"""Modules given as encoders: what the protocol asks of them, and what no longer can be chosen."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn
from toy_models import Bare, ToyEncoder, architecture_spec

import smp_core
from smp_core.errors import (
    EncoderProtocolError,
    IncompatibleError,
    OptionError,
)


def create(arch: str = "toy", encoder: Any = "toy_encoder", **options: Any) -> smp_core.SegmentationModel:
    return smp_core.create(arch, encoder, **{"encoder_weights": None, **options})


@pytest.mark.usefixtures("toys")
def test_a_module_as_encoder() -> None:
    model = create(encoder=ToyEncoder(in_channels=5, depth=2), classes=2)
    assert model(torch.zeros(1, 5, 16, 16)).shape == (1, 2, 16, 16)
    assert model.in_channels == 5
    assert model.config["in_channels"] == 5
    assert (model.config["encoder_name"], model.config["_smp_core"]["encoder"]) == (None, None)
    assert model.config["encoder_depth"] == 2
    for weights in (True, None, False):
        assert smp_core.create("toy", ToyEncoder(), encoder_weights=weights).preprocessing is None


@pytest.mark.usefixtures("toys")
def test_a_module_that_only_satisfies_the_protocol() -> None:
    assert create(encoder=Bare())(torch.zeros(1, 3, 16, 16)).shape == (1, 1, 16, 16)
    assert create(encoder=Bare(out_channels=[3, 6], reductions=[1, 4])).in_channels == 0
    assert isinstance(Bare(), smp_core.Encoder)
    assert not isinstance(nn.Identity(), smp_core.Encoder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"encoder_weights": "imagenet"},
            "encoder_weights='imagenet' goes with an encoder's name; a module comes with its own: pass None",
        ),
        ({"in_channels": 4}, "in_channels=4, but the encoder given has in_channels=3"),
        (
            {"encoder_depth": 2},
            "encoder_depth, encoder_output_stride, encoder_output_indices go with an encoder's name; "
            "a module is built already",
        ),
        (
            {"encoder_output_stride": 8},
            "encoder_depth, encoder_output_stride, encoder_output_indices go with an encoder's name; "
            "a module is built already",
        ),
    ],
)
@pytest.mark.usefixtures("toys")
def test_options_that_go_with_a_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        create(encoder=ToyEncoder(), **options)


def test_a_module_that_does_not_fit_the_architecture(install) -> None:
    install(
        architecture_spec(min_depth=3),
        architecture_spec(name="dense", tokens=True, pyramid=False),
        architecture_spec(name="atrous", dilation=(8,)),
    )
    with pytest.raises(IncompatibleError, match=r"^architecture 'toy' takes encoder_depth 3..5, not 2$"):
        create(encoder=Bare())
    with pytest.raises(
        IncompatibleError, match=r"architecture 'dense' needs prefix tokens .* encoder 'Bare' yields none"
    ):
        create("dense", encoder=Bare())
    message = "architecture 'toy' needs strictly increasing reductions; encoder 'ToyEncoder' has (1, 2, 4, 8, 8)"
    dilated = ToyEncoder(output_stride=8)
    with pytest.raises(IncompatibleError, match=f"^{re.escape(message)}$"):
        create(encoder=dilated)
    assert create("atrous", encoder=dilated).config["encoder_output_stride"] == 8


@pytest.mark.parametrize(
    ("wrong", "messages"),
    [
        ({}, ["no attribute 'out_channels': expected a tuple of ints", "no attribute 'reductions': expected a tuple"]),
        (
            {"out_channels": "abc", "reductions": ()},
            [
                "out_channels is 'abc': expected a tuple of positive ints",
                "reductions is (): expected a tuple of positive ints",
            ],
        ),
        (
            {"out_channels": (3, 0), "reductions": 4},
            ["out_channels is (3, 0): expected a tuple of positive", "reductions is 4: expected a tuple of positive"],
        ),
        (
            {"out_channels": (3, 8, 8), "reductions": (4, 2)},
            [
                "out_channels has 3 entries and reductions 2: expected one of each per feature",
                "reductions is (4, 2): expected increasing values",
            ],
        ),
    ],
)
@pytest.mark.usefixtures("toys")
def test_violations_of_the_protocol_are_listed_at_once(wrong: dict[str, Any], messages: list[str]) -> None:
    module = nn.Identity()
    for name, value in wrong.items():
        setattr(module, name, value)
    with pytest.raises(EncoderProtocolError, match=r"^Identity does not satisfy the Encoder protocol:\n  ") as caught:
        create(encoder=module)
    lines = str(caught.value).split("\n  ")[1:]
    assert len(lines) == len(messages)
    for line, message in zip(lines, messages, strict=True):
        assert line.startswith(message)
    with pytest.raises(EncoderProtocolError, match="Identity does not satisfy the Encoder protocol"):
        smp_core.SegmentationModel(module, nn.Identity(), nn.Identity())


def test_a_model_needs_a_module_as_encoder() -> None:
    message = "expected an encoder's name or an nn.Module that satisfies the Encoder protocol, got str"
    with pytest.raises(EncoderProtocolError, match=f"^{message}$"):
        smp_core.SegmentationModel("resnet34", nn.Identity(), nn.Identity())  # type: ignore[arg-type]
