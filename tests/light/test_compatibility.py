"""What an architecture needs against what an encoder declares, compared with the rules written down a second time."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_specs import architecture, architectures, depths, encoder, encoders, output_strides

from smp_core.blueprints.compatibility import (
    Choice,
    Compatibility,
    choose,
    compare,
    dilates,
    features_at_depth,
    violations,
)
from smp_core.errors import OptionError
from smp_core.plugin import ArchitectureSpec, EncoderSpec


def expected(arch: ArchitectureSpec, spec: EncoderSpec, depth: int | None, stride: int | None) -> bool:
    """The rules of the design, straight from its text."""
    if depth is None:
        depth = sorted([spec.min_depth, arch.default_depth, spec.max_depth])[1]
    if depth not in range(spec.min_depth, spec.max_depth + 1) or depth not in range(arch.min_depth, arch.max_depth + 1):
        return False
    if arch.tokens and not spec.tokens:
        return False
    if spec.tokens and not (arch.tokens or arch.accepts_tokens):
        return False
    built = spec.reductions[:depth] if spec.tokens else [item for item in spec.reductions if item <= 2**depth]
    powers = {2**exponent for exponent in range(10)}
    if arch.pyramid and not powers.issuperset(built):
        return False
    if not set(arch.requires).issubset(built):
        return False
    if not arch.dilation:
        return stride is None
    stride = arch.dilation[0] if stride is None else stride
    if stride not in arch.dilation:
        return False
    return stride >= max(built) or stride in spec.dilation


@given(architectures(), encoders(), depths, output_strides)
def test_compare_follows_the_rules(
    arch: ArchitectureSpec, spec: EncoderSpec, depth: int | None, stride: int | None
) -> None:
    answer = compare(arch, spec, depth, stride)
    assert answer.ok == expected(arch, spec, depth, stride)
    assert bool(answer) is answer.ok is (not answer.reasons)
    assert list(answer.reasons) == violations(arch, spec, choose(arch, spec, depth, stride))


@given(encoders(), st.integers(1, 6))
def test_features_at_depth_are_the_first_ones(spec: EncoderSpec, depth: int) -> None:
    channels, reductions = features_at_depth(spec, depth)
    count = len(reductions)
    assert channels == spec.out_channels[:count]
    assert reductions == spec.reductions[:count]
    if spec.tokens:
        assert count == min(depth, len(spec.reductions))
    else:
        assert all(reduction <= 2**depth for reduction in reductions)
        assert all(reduction > 2**depth for reduction in spec.reductions[count:])
    assert count >= (depth >= spec.min_depth)


@given(encoders(), st.integers(1, 5))
def test_a_greater_depth_never_has_fewer_features(spec: EncoderSpec, depth: int) -> None:
    shallow, deep = features_at_depth(spec, depth), features_at_depth(spec, depth + 1)
    assert deep[0][: len(shallow[0])] == shallow[0]
    assert deep[1][: len(shallow[1])] == shallow[1]


def test_features_of_a_resnet_like_encoder() -> None:
    assert features_at_depth(encoder(), 3) == ((3, 64, 64, 128), (1, 2, 4, 8))
    # A level that the encoder lacks is absent, so that a depth of 2 and of 1 differ by nothing here.
    sparse = encoder(out_channels=(32, 64, 160, 256), reductions=(4, 8, 16, 32), min_depth=2)
    assert features_at_depth(sparse, 2) == ((32,), (4,))
    assert features_at_depth(sparse, 4) == ((32, 64, 160), (4, 8, 16))
    plain = encoder(out_channels=(192,) * 4, reductions=(16,) * 4, tokens=True, max_depth=4)
    assert features_at_depth(plain, 2) == ((192, 192), (16, 16))


def test_defaults_stay_within_the_encoders_depths() -> None:
    assert choose(architecture(), encoder(), None, None) == Choice(depth=5, output_stride=None)
    assert choose(architecture(), encoder(max_depth=4), None, None).depth == 4
    assert choose(architecture(default_depth=3), encoder(min_depth=4), None, None).depth == 4
    assert choose(architecture(dilation=(16, 8)), encoder(), 3, None) == Choice(depth=3, output_stride=16)
    assert choose(architecture(dilation=(16, 8)), encoder(), 3, 8).output_stride == 8


def test_a_shallow_encoder_has_nothing_to_dilate() -> None:
    assert dilates(encoder(), Choice(depth=5, output_stride=16))
    assert not dilates(encoder(), Choice(depth=4, output_stride=16))
    assert not dilates(encoder(), Choice(depth=5, output_stride=32))
    assert not dilates(encoder(), Choice(depth=5, output_stride=None))
    assert compare(architecture(dilation=(16, 8)), encoder(), 4)


_ADVICE = ": name a neck that makes a feature pyramid of its features (smp_core.list_necks; pip install smp-necks)"


@pytest.mark.parametrize(
    ("arch", "spec", "depth", "stride", "reason"),
    [
        ({}, {"max_depth": 4}, 5, None, "encoder 'e' takes encoder_depth 1..4, not 5"),
        ({}, {}, 2, None, "architecture 'a' takes encoder_depth 3..5, not 2"),
        ({"min_depth": 5}, {}, 4, None, "architecture 'a' takes encoder_depth 5, not 4"),
        (
            {"tokens": True, "pyramid": False},
            {},
            None,
            None,
            "architecture 'a' needs prefix tokens of a plain transformer; encoder 'e' yields none",
        ),
        (
            {},
            {"reductions": (1, 3, 4, 8, 16, 32)},
            None,
            None,
            "architecture 'a' needs a feature pyramid whose reductions are increasing powers of two; "
            f"encoder 'e' has reductions (1, 3, 4, 8, 16, 32){_ADVICE}",
        ),
        (
            {},
            {"reductions": (16,) * 6, "tokens": True, "max_depth": 6},
            None,
            None,
            "architecture 'a' needs a feature pyramid whose reductions are increasing powers of two; "
            f"encoder 'e' has reductions (16, 16, 16, 16, 16, 16){_ADVICE}",
        ),
        (
            {"pyramid": False},
            {"reductions": (16,) * 6, "tokens": True, "max_depth": 6},
            None,
            None,
            f"architecture 'a' does not take a plain transformer; encoder 'e' is one{_ADVICE}",
        ),
        (
            {"requires": (4,)},
            {"reductions": (1, 2, 8, 16, 32, 64)},
            None,
            None,
            f"architecture 'a' needs features of reduction 4; encoder 'e' has 1, 2, 8, 16, 32{_ADVICE}",
        ),
        (
            {"requires": (2, 4, 16), "min_depth": 1},
            {},
            1,
            None,
            f"architecture 'a' needs features of reduction 4, 16; encoder 'e' has 1, 2{_ADVICE}",
        ),
        ({}, {}, None, 16, "architecture 'a' takes no encoder_output_stride, got 16"),
        ({"dilation": (16, 8)}, {}, None, 32, "architecture 'a' takes an encoder_output_stride of 8, 16, not 32"),
        (
            {"dilation": (16, 8)},
            {},
            None,
            None,
            "architecture 'a' asks for output stride 16; encoder 'e' cannot be dilated",
        ),
        (
            {"dilation": (16, 8)},
            {"dilation": (16,)},
            None,
            8,
            "architecture 'a' asks for output stride 8; encoder 'e' can be dilated only to 16",
        ),
    ],
)
def test_every_reason_is_a_sentence(
    arch: dict[str, Any], spec: dict[str, Any], depth: int | None, stride: int | None, reason: str
) -> None:
    answer = compare(architecture(**arch), encoder(**spec), depth, stride)
    assert answer.reasons == (reason,)
    assert str(answer) == f"no: {reason}"


@pytest.mark.parametrize(
    ("arch", "tokens", "reason"),
    [
        ({"tokens": True, "pyramid": False}, True, None),
        ({"accepts_tokens": True, "pyramid": False}, True, None),
        ({}, False, "architecture 'a' takes no encoder_output_indices, got [1, 2, 3]"),
        (
            {"accepts_tokens": True, "pyramid": False},
            False,
            "encoder 'e', which is no plain transformer, takes no encoder_output_indices, got [1, 2, 3]",
        ),
    ],
)
def test_output_indices_are_of_a_plain_transformer(arch: dict[str, Any], tokens: bool, reason: str | None) -> None:
    spec = encoder(reductions=(16,) * 6, tokens=True, max_depth=6) if tokens else encoder()
    choice = Choice(depth=3, output_stride=None, output_indices=(1, 2, 3))
    assert violations(architecture(**arch), spec, choice) == ([reason] if reason else [])


def test_an_architecture_may_take_either() -> None:
    either = architecture(accepts_tokens=True, pyramid=False)
    assert compare(either, encoder())
    assert compare(either, encoder(reductions=(14,) * 6, tokens=True, max_depth=6))


def test_an_answer_reads_as_yes_or_no() -> None:
    assert str(Compatibility(True)) == "yes"
    assert str(Compatibility(False, ("one", "two"))) == "no: one; two"


@pytest.mark.parametrize("depth", ["5", 5.0, True, [5]])
def test_a_depth_is_an_int(depth: Any) -> None:
    with pytest.raises(OptionError, match=re.escape(f"the encoder depth must be an int, got {depth!r}")):
        compare(architecture(), encoder(), depth)


@pytest.mark.parametrize("stride", ["16", 16.0, (16,)])
def test_an_output_stride_is_an_int(stride: Any) -> None:
    with pytest.raises(OptionError, match=re.escape(f"the output stride must be an int or None, got {stride!r}")):
        compare(architecture(), encoder(), None, stride)
