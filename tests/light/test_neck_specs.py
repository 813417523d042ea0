"""Specs of necks: what is right constructs and is frozen; what is wrong is named, field by field."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smp_core.errors import InvalidSpecError
from smp_core.plugin import Migration, NeckSpec

_identifiers = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


@st.composite
def neck_fields(draw: st.DrawFn) -> dict[str, Any]:
    tokens = draw(st.booleans())
    return {
        "name": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+:-]{0,20}", fullmatch=True)),
        "target": draw(st.builds("{}.{}:{}".format, _identifiers, _identifiers, _identifiers)),
        "reductions": sorted(draw(st.sets(st.integers(1, 64), min_size=1))),
        "options": draw(st.dictionaries(_identifiers, st.integers() | st.lists(st.integers()))),
        "tokens": tokens,
        "pyramid": True if not tokens else draw(st.booleans()),
        "default": draw(st.booleans()),
        "scriptable": draw(st.booleans()),
        "summary": draw(st.sampled_from(["", "a neck"])),
        "former_names": draw(st.sampled_from([(), ["old"], ("old", "older")])),
    }


_FLAG_WRONG = [None, 1, "yes", []]
NECK_WRONG: dict[str, list[Any]] = {
    "name": [None, 3, "", "a b", "acme/name"],
    "target": [None, 3, "", "module", "a:b:c"],
    "reductions": [None, 3, (), (0, 4), (4, 4), (8, 4), (4.0,), ("4",), (True,), {4: 8}],
    "options": [None, ["width"], {"a b": 1}, {3: 1}],
    "default": _FLAG_WRONG,
    "scriptable": _FLAG_WRONG,
    "license": [3, "", " "],
    "paper": [3, "", " "],
    "summary": [None, 3, "two\nlines"],
    "former_names": [None, "old", (3,), ("a b",)],
    "migrations": [None, ("old",), {"before": "1"}],
}


@given(neck_fields())
def test_any_right_neck_constructs_and_is_frozen(fields: dict[str, Any]) -> None:
    spec = NeckSpec(**fields)
    assert spec.reductions == tuple(fields["reductions"])
    assert (spec.default, spec.options) == (fields["default"], fields["options"])
    assert dataclasses.replace(spec) == spec
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'default'"):
        spec.default = True  # type: ignore[misc]


@given(neck_fields(), st.sampled_from(sorted(NECK_WRONG)), st.data())
def test_one_wrong_neck_field_is_named_alone(fields: dict[str, Any], field: str, data: st.DataObject) -> None:
    wrong = data.draw(st.sampled_from(NECK_WRONG[field]))
    with pytest.raises(InvalidSpecError, match=r"^NeckSpec .+ is invalid:") as caught:
        NeckSpec(**{**fields, field: wrong})
    named = re.findall(r"^  field '(\w+)': expected .+, got ", str(caught.value), flags=re.MULTILINE)
    assert named == [field]


def _neck(**fields: Any) -> NeckSpec:
    return NeckSpec(**{"name": "n", "target": "a:b", "reductions": (4, 8), **fields})


def test_a_neck_is_chosen_only_where_it_says_so() -> None:
    assert not _neck().default
    assert _neck(default=True).default


@pytest.mark.parametrize("name", ["out_channels", "reductions", "tokens", "output_stride"])
def test_what_the_core_gives_is_no_option(name: str) -> None:
    message = (
        "field 'options': expected a mapping of keyword names, out_channels, reductions, tokens, output_stride "
        f"excepted, to values, got mappingproxy({{{name!r}: 8}})"
    )
    with pytest.raises(InvalidSpecError, match=re.escape(message)):
        _neck(options={name: 8})


def test_a_neck_takes_something() -> None:
    message = "field 'tokens': expected True, or pyramid=True: a neck takes something, got False"
    with pytest.raises(InvalidSpecError, match=re.escape(message)):
        _neck(tokens=False)


def test_fields_are_keywords() -> None:
    with pytest.raises(TypeError, match="positional argument"):
        NeckSpec("n")  # type: ignore[misc]
    with pytest.raises(TypeError, match="unexpected keyword argument 'depth'"):
        _neck(depth=3)


def test_a_neck_may_have_migrations() -> None:
    migration = Migration(before="2.0", renames=((r"^side\.", "lateral."),))
    assert _neck(migrations=[migration]).migrations == (migration,)
