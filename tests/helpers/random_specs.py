"""Specs of every kind, drawn by Hypothesis: encoders, architectures and necks that fit each other or do not.

No torch, so that the torch-free tests can use it.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec


def encoder(**fields: Any) -> EncoderSpec:
    """An encoder like a ResNet, unless ``fields`` say otherwise."""
    values: dict[str, Any] = {
        "name": "e",
        "target": "a:b",
        "out_channels": (3, 64, 64, 128, 256, 512),
        "reductions": (1, 2, 4, 8, 16, 32),
        **fields,
    }
    return EncoderSpec(**values)


def architecture(**fields: Any) -> ArchitectureSpec:
    """An architecture like Unet, unless ``fields`` say otherwise."""
    return ArchitectureSpec(**{"name": "a", "class_name": "A", "target": "a:b", **fields})


def neck(**fields: Any) -> NeckSpec:
    """A neck that takes anything, unless ``fields`` say otherwise."""
    values: dict[str, Any] = {
        "name": "n",
        "target": "a:b",
        "reductions": (4, 8, 16, 32),
        "pyramid": True,
        "default": True,
        **fields,
    }
    return NeckSpec(**values)


@st.composite
def encoders(draw: st.DrawFn) -> EncoderSpec:
    tokens = draw(st.booleans())
    steps = st.sampled_from([1, 2, 3, 4, 8, 12, 16, 32])
    reductions = sorted(draw(st.lists(steps, min_size=1, max_size=6, unique=not tokens)))
    least = 1 if tokens else max((reductions[0] - 1).bit_length(), 1)
    found = sorted(draw(st.lists(st.integers(least, len(reductions) if tokens else 6), min_size=2, max_size=2)))
    return encoder(
        out_channels=tuple(range(3, 3 + len(reductions))),
        reductions=reductions,
        tokens=tokens,
        min_depth=found[0],
        max_depth=found[1],
        dilation=draw(st.sampled_from([(), (8,), (16,), (8, 16)])),
    )


@st.composite
def architectures(draw: st.DrawFn) -> ArchitectureSpec:
    found = sorted(draw(st.lists(st.integers(1, 6), min_size=3, max_size=3)))
    tokens = draw(st.booleans())
    accepts = draw(st.booleans())
    return architecture(
        min_depth=found[0],
        default_depth=found[1],
        max_depth=found[2],
        tokens=tokens,
        accepts_tokens=accepts,
        pyramid=not tokens and not accepts and draw(st.booleans()),
        requires=draw(st.sampled_from([(), (), (4,), (4, 8)])),
        dilation=draw(st.sampled_from([(), (8,), (16, 8), (16, 8, 32)])),
    )


@st.composite
def necks(draw: st.DrawFn) -> NeckSpec:
    tokens, pyramid = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    levels = st.sets(st.sampled_from([1, 2, 4, 8, 16, 32, 64, 12]), min_size=1, max_size=5)
    return neck(
        reductions=sorted(draw(st.just({4, 8, 16, 32}) | levels)),
        tokens=tokens,
        pyramid=pyramid,
    )


depths = st.none() | st.integers(-1, 8)
output_strides = st.none() | st.sampled_from([4, 8, 16, 32])
