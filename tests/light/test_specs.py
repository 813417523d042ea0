"""Specs: what is right constructs and is frozen; what is wrong is named, field by field, and nothing else is."""

from __future__ import annotations

import dataclasses
import re
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smp_core.errors import InvalidSpecError, PluginError
from smp_core.plugin import ArchitectureSpec, EncoderSpec, WeightsSpec

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+:-]{0,20}", fullmatch=True)
identifiers = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
targets = st.builds("{}.{}:{}".format, identifiers, identifiers, identifiers)
# A line has no control characters.
texts = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1).filter(str.strip)
strides = st.lists(st.sampled_from([8, 16, 32]), unique=True).flatmap(lambda found: st.sampled_from([found, (*found,)]))
channels = st.integers(1, 4096)
numbers = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)


@st.composite
def weights_fields(draw: st.DrawFn, count: int | None = None) -> dict[str, Any]:
    count = count or draw(st.integers(1, 5))
    low = draw(numbers)
    high = low + draw(st.floats(1, 1e6) | st.integers(1, 1000))
    place = draw(st.sampled_from(["repo_id", "file"]))
    return {
        place: draw(st.builds("{}/{}".format, identifiers, identifiers)),
        "revision": draw(st.none() | texts),
        "filename": draw(texts),
        "sha256": draw(st.none() | st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
        "mean": draw(st.lists(st.floats(low, high), min_size=count, max_size=count)),
        "std": draw(st.lists(st.floats(1e-6, high - low), min_size=count, max_size=count)),
        "input_space": draw(st.sampled_from(["RGB", "BGR"])),
        "input_range": (low, high),
        "license": draw(st.none() | texts),
        "convert": draw(st.none() | targets),
    }


@st.composite
def encoder_fields(draw: st.DrawFn) -> dict[str, Any]:
    tokens = draw(st.booleans())
    reductions = draw(st.lists(st.sampled_from([1, 2, 3, 4, 8, 16, 32, 64]), min_size=1, max_size=6, unique=not tokens))
    reductions.sort()
    least = 1 if tokens else max((reductions[0] - 1).bit_length(), 1)
    depths = sorted(draw(st.lists(st.integers(least, len(reductions) if tokens else 8), min_size=2, max_size=2)))
    weights = draw(st.dictionaries(names, weights_fields(3).map(lambda fields: WeightsSpec(**fields)), max_size=2))
    return {
        "name": draw(names),
        "target": draw(targets),
        "out_channels": draw(st.lists(channels, min_size=len(reductions), max_size=len(reductions))),
        "reductions": reductions,
        "options": draw(st.dictionaries(identifiers, st.integers() | st.text() | st.lists(st.integers()))),
        "user_options": draw(st.lists(identifiers)),
        "weights": weights,
        "default_weights": draw(st.sampled_from([*weights])) if weights else None,
        "dilation": draw(strides),
        "tokens": tokens,
        "min_depth": depths[0],
        "max_depth": depths[1],
        "scriptable": draw(st.booleans()),
        "license": draw(st.none() | texts),
        "paper": draw(st.none() | texts),
        "summary": draw(texts | st.just("")),
        "num_parameters": draw(st.none() | st.integers(1, 10**10)),
    }


@st.composite
def architecture_fields(draw: st.DrawFn) -> dict[str, Any]:
    depths = sorted(draw(st.lists(st.integers(1, 9), min_size=3, max_size=3)))
    tokens, accepts = draw(st.booleans()), draw(st.booleans())
    return {
        "name": draw(names),
        "class_name": draw(identifiers),
        "target": draw(targets),
        "min_depth": depths[0],
        "default_depth": depths[1],
        "max_depth": depths[2],
        "dilation": draw(strides),
        "tokens": tokens,
        "accepts_tokens": accepts,
        "pyramid": False if tokens or accepts else draw(st.booleans()),
        "requires": draw(st.lists(channels)),
        "scriptable": draw(st.booleans()),
        "license": draw(st.none() | texts),
        "paper": draw(st.none() | texts),
        "summary": draw(texts | st.just("")),
    }


_TEXT_WRONG = [3, b"bytes", ["a"], "", " \t", "\x1b[2J"]
_FLAG_WRONG = [None, 1, "yes", []]
_INT_WRONG = [0, -1, 2.0, "3", None, True]
_INTS_WRONG = [None, 3, "345", (3, 0), (3, -1), (3, 2.0), (3, True), ("3",), {3: 4}, ()]
_TARGET_WRONG = [
    None,
    3,
    "",
    "module",
    "module:",
    ":attribute",
    "a:b:c",
    "a b:c",
    "a/b.py:c",
    "module.:c",
    "m:1",
    "m:c\n",
]
_NAME_WRONG = [None, 3, "", "a b", "acme/name", "-leading", ".hidden", "näme", "name\n"]
_STRIDES_WRONG = [None, 8, (4,), (8, 8), (8.0,), ("8",), ([8],), (True,), {8: 16}]
_LINE_WRONG = [None, 3, "two\nlines", "\x1b]0;title\x07", "a\x85b"]

ENCODER_WRONG: dict[str, list[Any]] = {
    "name": _NAME_WRONG,
    "target": _TARGET_WRONG,
    "out_channels": _INTS_WRONG,
    "reductions": [*_INTS_WRONG, (2, 1), tuple(range(1, 40))],
    "options": [
        None,
        3,
        "text",
        ["text"],
        {"not a name": 1},
        {3: 4},
        {None: 1},
        *({n: 1} for n in ("depth", "in_channels")),
    ],
    "user_options": [None, 3, "drop", {"drop": 1}, ("a b",), (3,), (None,), (["drop"],), ("depth",), ("in_channels",)],
    "weights": [None, 3, ["imagenet"], {"imagenet": "model.safetensors"}, {"a b": WeightsSpec(file="f")}, {3: 4}],
    "default_weights": ["no such weights", 3, ["a"], {"a": 1}],
    "dilation": _STRIDES_WRONG,
    "tokens": _FLAG_WRONG,
    "min_depth": [*_INT_WRONG, 100],
    "max_depth": _INT_WRONG,
    "scriptable": _FLAG_WRONG,
    "license": _TEXT_WRONG,
    "paper": _TEXT_WRONG,
    "summary": _LINE_WRONG,
    "num_parameters": [item for item in _INT_WRONG if item is not None],
}
ARCHITECTURE_WRONG: dict[str, list[Any]] = {
    "name": _NAME_WRONG,
    "class_name": [None, 3, "", "two words", "1st", "acme.Unet"],
    "target": _TARGET_WRONG,
    "default_depth": [*_INT_WRONG, 100],
    "min_depth": _INT_WRONG,
    "max_depth": _INT_WRONG,
    "dilation": _STRIDES_WRONG,
    "tokens": _FLAG_WRONG,
    "accepts_tokens": _FLAG_WRONG,
    "pyramid": _FLAG_WRONG,
    "requires": [item for item in _INTS_WRONG if item != ()],
    "scriptable": _FLAG_WRONG,
    "license": _TEXT_WRONG,
    "paper": _TEXT_WRONG,
    "summary": _LINE_WRONG,
}
WEIGHTS_WRONG: dict[str, list[Any]] = {
    "revision": _TEXT_WRONG,
    "filename": [None, *_TEXT_WRONG],
    "sha256": ["abc", "A" * 64, int("1" * 64), b"a" * 64],
    "repo_id": ["name", "https://example.invalid/x", "a/b/c", "a b/c", "/c", "a/", 3, "a/b\n"],
    "mean": [None, 3, "abc", (), ("a", "b", "c"), {1: 2}, (float("nan"),) * 3, (float("inf"),) * 3],
    "std": [None, 3, "abc", (), (0.0,), (-1.0,), ("a",), (1e-6,) * 9, (float("nan"),) * 3, (float("inf"),) * 3],
    "input_space": [None, "rgb", "GRAY", 3, ["RGB"]],
    "input_range": [None, 1, (1.0, 0.0), (0.0, 0.0), (0.0, 1.0, 2.0), (0.0,), "01", ("a", "b")],
    "license": _TEXT_WRONG,
    "convert": [item for item in _TARGET_WRONG if item is not None],
}


def _named_fields(error: InvalidSpecError) -> set[str]:
    return set(re.findall(r"^  field '(\w+)': expected .+, got ", str(error), flags=re.MULTILINE))


@given(weights_fields())
def test_any_right_weights_construct(fields: dict[str, Any]) -> None:
    spec = WeightsSpec(**fields)
    assert spec.mean == tuple(fields["mean"])
    assert dataclasses.replace(spec) == spec


@given(encoder_fields())
def test_any_right_encoder_constructs_and_is_frozen(fields: dict[str, Any]) -> None:
    spec = EncoderSpec(**fields)
    for name in ("out_channels", "reductions", "dilation", "user_options"):
        assert getattr(spec, name) == tuple(fields[name])
        assert type(getattr(spec, name)) is tuple
    for name in ("options", "weights"):
        assert getattr(spec, name) == fields[name]
        assert isinstance(getattr(spec, name), MappingProxyType)
    assert dataclasses.replace(spec) == spec
    for item in dataclasses.fields(spec):
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{item.name}'"):
            setattr(spec, item.name, None)


@given(architecture_fields())
def test_any_right_architecture_constructs_and_is_frozen(fields: dict[str, Any]) -> None:
    spec = ArchitectureSpec(**fields)
    for name in ("dilation", "requires"):
        assert getattr(spec, name) == tuple(fields[name])
    assert dataclasses.replace(spec) == spec
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'name'"):
        spec.name = "other"  # type: ignore[misc]


@given(encoder_fields(), st.sampled_from(sorted(ENCODER_WRONG)), st.data())
def test_one_wrong_encoder_field_is_named_alone(fields: dict[str, Any], field: str, data: st.DataObject) -> None:
    wrong = data.draw(st.sampled_from(ENCODER_WRONG[field]))
    with pytest.raises(InvalidSpecError, match=r"EncoderSpec .+ is invalid:") as caught:
        EncoderSpec(**{**fields, field: wrong})
    assert _named_fields(caught.value) == {field}


@given(architecture_fields(), st.sampled_from(sorted(ARCHITECTURE_WRONG)), st.data())
def test_one_wrong_architecture_field_is_named_alone(fields: dict[str, Any], field: str, data: st.DataObject) -> None:
    wrong = data.draw(st.sampled_from(ARCHITECTURE_WRONG[field]))
    with pytest.raises(InvalidSpecError, match=r"ArchitectureSpec .+ is invalid:") as caught:
        ArchitectureSpec(**{**fields, field: wrong})
    assert _named_fields(caught.value) == {field}


@given(weights_fields(), st.sampled_from(sorted(WEIGHTS_WRONG)), st.data())
def test_one_wrong_weights_field_is_named_alone(fields: dict[str, Any], field: str, data: st.DataObject) -> None:
    wrong = data.draw(st.sampled_from(WEIGHTS_WRONG[field]))
    with pytest.raises(InvalidSpecError, match="WeightsSpec is invalid:") as caught:
        WeightsSpec(**{**fields, field: wrong})
    assert _named_fields(caught.value) == {field}


@given(encoder_fields(), st.sets(st.sampled_from(["name", "target", "options", "dilation", "summary", "paper"])))
def test_every_wrong_field_is_named_at_once(fields: dict[str, Any], wrong: set[str]) -> None:
    values = {**fields, **{field: ENCODER_WRONG[field][1] for field in wrong}}
    if not wrong:
        EncoderSpec(**values)
        return
    with pytest.raises(InvalidSpecError, match="is invalid") as caught:
        EncoderSpec(**values)
    assert _named_fields(caught.value) == wrong


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "field 'repo_id': expected exactly one of 'repo_id' and 'file', got None"),
        ({"repo_id": "a/b", "file": "c"}, "field 'repo_id': expected exactly one of 'repo_id' and 'file', got 'a/b'"),
        ({"repo_id": "no-owner"}, "field 'repo_id': expected a repository of the Hub, 'owner/name', got 'no-owner'"),
        ({"file": 3}, "field 'file': expected a path, \"package:path\", or None, got 3"),
        ({"repo_id": "a/b", "mean": (0.5,)}, "field 'std': expected as many numbers as mean has (1)"),
        # In units of 0 to 255, as many publish them.
        (
            {"file": "f", "mean": (123.675, 116.28, 103.53)},
            "field 'mean': expected numbers in units of input_range (0 to 1), got (123.675, 116.28, 103.53)",
        ),
        (
            {"file": "f", "std": (58.4, 57.1, 57.4)},
            "field 'std': expected numbers of at most 1, in units of input_range (0 to 1), got (58.4, 57.1, 57.4)",
        ),
        (
            {"file": "f", "mean": (float("nan"), 0, 0)},
            "field 'mean': expected a tuple with one finite number per channel, got (nan, 0, 0)",
        ),
    ],
)
def test_weights_are_in_exactly_one_place_and_in_one_unit(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpecError, match=re.escape(message)):
        WeightsSpec(**fields)


def _encoder(**fields: Any) -> EncoderSpec:
    values = {"name": "e", "target": "a:b", "out_channels": (3, 8), "reductions": (1, 2), **fields}
    return EncoderSpec(**values)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"reductions": (1, 2, 4)}, "field 'reductions': expected as many ints as out_channels has (2), got (1, 2, 4)"),
        ({"reductions": (2, 2)}, "field 'reductions': expected strictly increasing ints, got (2, 2)"),
        (
            {"reductions": (16, 8), "tokens": True, "max_depth": 2},
            "field 'reductions': expected ints that never decrease, got (16, 8)",
        ),
        ({"default_weights": "imagenet"}, "field 'default_weights': expected None, as there are no weights"),
        (
            {"weights": {"a": WeightsSpec(file="f"), "b": WeightsSpec(file="g")}},
            "field 'default_weights': expected the one of a, b that encoder_weights=True stands for, got None",
        ),
        ({"min_depth": 4, "max_depth": 3}, "field 'min_depth': expected at most max_depth (3), got 4"),
        (
            {"reductions": (4, 8)},
            "field 'min_depth': expected a depth that keeps the first feature, of reduction 4: at least 2, got 1",
        ),
        (
            {"tokens": True, "max_depth": 3},
            "field 'max_depth': expected at most the number of features (2), got 3",
        ),
        (
            {"options": {"depth": 3}},
            "field 'options': expected a mapping of keyword names, in_channels, depth, output_stride, output_indices "
            "excepted, to ",
        ),
        (
            {"user_options": ("output_stride",)},
            "field 'user_options': expected a tuple of keyword names, in_channels, depth, output_stride, "
            "output_indices excepted, got ('output_stride',)",
        ),
        (
            {"out_channels": ()},
            "EncoderSpec 'e' is invalid:\n  field 'out_channels': expected a tuple of positive ints",
        ),
        (
            {"name": "a/b"},
            "field 'name': expected a name of letters, digits and . _ + : - (no slash, no space), got 'a/b'",
        ),
        (
            {"weights": {"grey": WeightsSpec(file="f", mean=(0.4,), std=(0.2,))}},
            "field 'weights', 'grey', field 'mean': expected 3 numbers, one for each of in_channels; or bands, if it "
            "takes others, got (0.4,)",
        ),
        (
            {"in_channels": 1, "weights": {"rgb": WeightsSpec(file="f")}},
            "field 'weights', 'rgb', field 'mean': expected 1 number, one for each of in_channels; or bands, if it ",
        ),
        ({"former_names": ("old", "e")}, "field 'former_names': expected names other than its own, 'e', got ('old', "),
        ({"target": "a.b"}, "field 'target': expected a string of the form \"package.module:attribute\", got 'a.b'"),
    ],
)
def test_fields_that_contradict_each_other(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpecError, match=re.escape(message)):
        _encoder(**fields)


def test_an_architecture_of_tokens_needs_no_pyramid() -> None:
    with pytest.raises(InvalidSpecError, match="field 'pyramid': expected False where tokens is True, got True"):
        ArchitectureSpec(name="a", class_name="A", target="a:b", tokens=True)
    assert ArchitectureSpec(name="a", class_name="A", target="a:b", tokens=True, pyramid=False).tokens


def test_an_architecture_that_takes_tokens_too_needs_no_pyramid() -> None:
    with pytest.raises(
        InvalidSpecError, match="field 'pyramid': expected False where accepts_tokens is True, got True"
    ):
        ArchitectureSpec(name="a", class_name="A", target="a:b", accepts_tokens=True)
    assert ArchitectureSpec(name="a", class_name="A", target="a:b", accepts_tokens=True, pyramid=False).accepts_tokens


def test_a_spec_keeps_no_handle_on_what_it_was_given() -> None:
    options, weights = {"layers": (1, 2)}, {"imagenet": WeightsSpec(file="f")}
    spec = _encoder(options=options, weights=weights, default_weights="imagenet")
    options["layers"] = (3, 4)
    weights.clear()
    assert dict(spec.options) == {"layers": (1, 2)}
    assert list(spec.weights) == ["imagenet"]
    with pytest.raises(TypeError, match="does not support item assignment"):
        spec.options["layers"] = ()  # type: ignore[index]


def test_fields_are_keywords() -> None:
    for kind in (EncoderSpec, ArchitectureSpec, WeightsSpec):
        with pytest.raises(TypeError, match="positional argument"):
            kind("name")
        with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
            kind(colour="blue")


def test_an_invalid_spec_is_a_broken_plugin_and_a_value_error() -> None:
    assert issubclass(InvalidSpecError, PluginError)
    assert issubclass(InvalidSpecError, ValueError)
