"""`compatible` and `create` never disagree, and what is built is what the specs said it would be."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_models import WIDTHS, architecture_spec, encoder_spec

import smp_core
from smp_core import registry
from smp_core.blueprints.compatibility import choose, features_at_depth
from smp_core.errors import IncompatibleError
from smp_core.plugin import ArchitectureSpec, EncoderSpec
from smp_core.registry.discovery import LoadedPlugin, PluginRecord


@st.composite
def encoders(draw: st.DrawFn) -> EncoderSpec:
    depths = sorted(draw(st.lists(st.integers(1, 4), min_size=2, max_size=2)))
    dilation = draw(st.sampled_from([(), (8,), (16, 8)]))
    return encoder_spec(min_depth=depths[0], max_depth=depths[1], dilation=dilation)


@st.composite
def architectures(draw: st.DrawFn) -> ArchitectureSpec:
    depths = sorted(draw(st.lists(st.integers(1, 5), min_size=3, max_size=3)))
    fields: dict[str, Any] = {
        "min_depth": depths[0],
        "default_depth": depths[1],
        "max_depth": depths[2],
        "dilation": draw(st.sampled_from([(), (8, 16), (16,), (32, 8)])),
    }
    if draw(st.integers(0, 9)) == 0:
        fields |= {"tokens": True, "pyramid": False}
    return architecture_spec(**fields)


@given(
    architectures(),
    encoders(),
    st.none() | st.integers(0, 5),
    st.none() | st.sampled_from([8, 16, 32]),
    st.integers(1, 4),
)
def test_create_builds_exactly_what_is_compatible(
    arch: ArchitectureSpec, encoder: EncoderSpec, depth: int | None, stride: int | None, in_channels: int
) -> None:
    record = PluginRecord(distribution="acme-smp-toy", version="1", module="toy_models")
    loaded = LoadedPlugin(record=record, encoders={encoder.name: encoder}, architectures={arch.name: arch})
    asked = {"encoder_depth": depth, "encoder_output_stride": stride}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registry", registry.Registry([loaded]))
        answer = smp_core.compatible("toy", "toy_encoder", **asked)
        options = {"encoder_weights": None, "in_channels": in_channels, **asked}
        if not answer:
            with pytest.raises(IncompatibleError, match=f"^{re.escape('; '.join(answer.reasons))}$"):
                smp_core.create("toy", "toy_encoder", **options)
            return
        model = smp_core.create("toy", "toy_encoder", **options)
    choice = choose(arch, encoder, depth, stride)
    assert model.config["encoder_depth"] == choice.depth
    assert model.config.get("encoder_output_stride") == choice.output_stride
    channels, reductions = features_at_depth(encoder, choice.depth)
    features = model.encoder(torch.zeros(1, in_channels, 32, 32))
    assert [item.shape[1] for item in features] == [in_channels, *channels[1:]]
    assert [32 // item.shape[2] for item in features] == [min(item, choice.output_stride or 32) for item in reductions]
    assert channels[1:] == WIDTHS[: choice.depth]
