"""What values an option takes, as its spec says it: checked where a blueprint is made, without torch."""

from __future__ import annotations

import contextlib
import math
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smp_core.errors import InvalidSpecError, OptionError
from smp_core.plugin import ArchitectureSpec, Flag, NormKind, Number, OneOf, OptionKind, Whole, Wholes

RIGHT: list[tuple[OptionKind, list[Any]]] = [
    (Flag(), [True, False]),
    (Whole(), [1, 7, 2**20]),
    (Whole(least=0, most=9, multiple_of=3, optional=True), [0, 3, 9, None]),
    (Wholes(), [(), (1,), (1, 2, 3), [4, 5]]),
    (Wholes(count=2, most=5), [(1, 5)]),
    (Number(), [0, 1, 0.5, False + 0.0]),
    (Number(least=-1, most=1e9, optional=True), [-1, 1e9, None]),
    (OneOf(names=("a", "b")), ["a", "b"]),
    (OneOf(names=("a",), optional=True), ["a", None]),
    (NormKind(), [True, False, "batchnorm", "identity", {"type": "identity"}]),
    (NormKind(), [{"type": "batchnorm", "eps": 1e-3, "momentum": None, "affine": False}]),
    (NormKind(), [{"type": "layernorm", "elementwise_affine": True, "eps": 0}]),
]


@pytest.mark.parametrize(("kind", "values"), RIGHT, ids=lambda item: type(item).__name__)
def test_values_that_are_taken(kind: OptionKind, values: list[Any]) -> None:
    for value in values:
        kind.check("width", value)
    assert pickle.loads(pickle.dumps(kind)) == kind


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Flag(), 1, "width must be True or False, got 1"),
        (Flag(optional=True), "no", "width must be True or False (or None), got 'no'"),
        (Whole(), 0, "width must be an int of at least 1, got 0"),
        (Whole(), True, "width must be an int of at least 1, got True"),
        (Whole(), 1.0, "width must be an int of at least 1, got 1.0"),
        (Whole(), None, "width must be an int of at least 1, got None"),
        (Whole(), 10**30, f"width must be an int of at most 1048576, got {10**30}"),
        (Whole(multiple_of=32), 33, "width must be a multiple of 32, got 33"),
        (Wholes(), 3, "width must be a sequence of ints of at least 1, got 3"),
        (Wholes(), "123", "width must be a sequence of ints of at least 1, got '123'"),
        (Wholes(), (1, -1), "width[1] must be an int of at least 1, got (1, -1)"),
        (Wholes(), (1,) * 1001, "width must be at most 1000 ints of at least 1, got (1, 1, "),
        (Wholes(count=3), (1, 2), "width must be 3 ints of at least 1, got (1, 2)"),
        (Number(), 1.5, "width must be a number between 0 and 1, got 1.5"),
        (Number(), math.nan, "width must be a number between 0 and 1, got nan"),
        (Number(most=10), 10**400, "width must be a number between 0 and 10, got 1000"),
        (Number(), True, "width must be a number between 0 and 1, got True"),
        (OneOf(names=("a", "b")), "c", "unknown width 'c'; expected one of a, b"),
        (OneOf(names=("a",), optional=True), ["a"], "unknown width ['a']; expected None or one of a"),
        (NormKind(), "group", "unknown norm 'group'; expected True, False, a dict, or one of batchnorm, "),
        (NormKind(), None, "unknown norm None; expected True, False, a dict, or one of batchnorm, "),
        (
            NormKind(),
            {"type": ["x"]},
            "unknown norm {'type': ['x']}; expected a dict whose 'type' is one of batchnorm, ",
        ),
        (NormKind(), {"type": "identity", "eps": 1}, "norm 'identity' takes no arguments, got eps"),
        (NormKind(), {"type": "layernorm", "x" * 999: 1}, "norm 'layernorm' has no argument 'xxx"),
        (
            NormKind(),
            {"type": "batchnorm", "eps": -1},
            "norm 'batchnorm': eps must be a number between 0 and 1e+09, got",
        ),
        (NormKind(), {"type": "batchnorm", "affine": 1}, "norm 'batchnorm': affine must be True or False, got 1"),
    ],
)
def test_values_that_are_not(kind: OptionKind, value: Any, message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}") as caught:
        kind.check("width", value)
    assert len(str(caught.value)) < 600


_ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inside: st.lists(inside) | st.tuples(inside) | st.dictionaries(st.text() | st.integers(), inside),
)


@pytest.mark.parametrize("kind", [kind for kind, _ in RIGHT], ids=lambda item: type(item).__name__)
@given(value=_ANYTHING)
def test_nothing_else_is_ever_raised(kind: OptionKind, value: Any) -> None:
    with contextlib.suppress(OptionError):
        kind.check("width", value)


def spec(**fields: Any) -> ArchitectureSpec:
    return ArchitectureSpec(
        name="a", class_name="A", target="a.b:A", options={"width": 8, "norm": "batchnorm"}, **fields
    )


def test_kinds_in_a_spec() -> None:
    assert spec(option_kinds={"width": Whole(), "norm": NormKind()}).option_kinds["width"] == Whole()
    assert dict(spec().option_kinds) == {}


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["width"], "field 'option_kinds': expected a mapping of option names to OptionKind, got ('width',)"),
        ({"width": int}, "field 'option_kinds': expected a mapping of option names to OptionKind, got "),
        ({"height": Whole()}, "field 'option_kinds': expected kinds of options that there are, and that take their "),
        (
            {"width": Whole(least=9)},
            "field 'option_kinds': expected kinds of options that there are, and that take their ",
        ),
    ],
)
def test_kinds_that_do_not_fit(kinds: Any, message: str) -> None:
    with pytest.raises(InvalidSpecError, match=re.escape(message)):
        spec(option_kinds=kinds)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Flag(), "True or False"),
        (Whole(), "an int of at least 1"),
        (Whole(least=0, most=9, multiple_of=3), "an int from 0 to 9, a multiple of 3"),
        (Wholes(count=4), "4 ints of at least 1"),
        (Wholes(most=8, optional=True), "several ints from 1 to 8, or None"),
        (Number(), "a number from 0 to 1"),
        (OneOf(names=("add", "cat"), optional=True), "one of add, cat, or None"),
        (OptionKind(), ""),
        (OptionKind(optional=True), ""),
    ],
)
def test_kinds_say_what_they_take(kind: OptionKind, text: str) -> None:
    assert kind.describe() == text
    assert NormKind().describe().startswith("True, False, one of batchnorm, ")


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (
            Whole,
            {"least": 5, "most": 2},
            "Whole is invalid:\n  field 'least': expected at most the largest value, 2",
        ),
        (Whole, {"least": 1.5}, "field 'least': expected an int, got 1.5"),
        (
            Whole,
            {"least": 5, "most": 7, "multiple_of": 4},
            "field 'multiple_of': expected what divides an int from 5 to",
        ),
        (Whole, {"multiple_of": 0}, "field 'multiple_of': expected a positive int, got 0"),
        (Wholes, {"least": 5, "most": 2}, "Wholes is invalid:\n  field 'least': expected at most the largest value, 2"),
        (Wholes, {"count": 0}, "field 'count': expected a positive int, or None, got 0"),
        (
            Number,
            {"least": 2.0},
            "Number is invalid:\n  field 'least': expected at most the largest value, 1.0",
        ),
        (Number, {"most": math.nan}, "field 'most': expected a number, got nan"),
        (Number, {"most": "1"}, "field 'most': expected a number, got '1'"),
        (OneOf, {"names": ()}, "OneOf is invalid:\n  field 'names': expected a tuple of one name or more, got ()"),
        (OneOf, {"names": "relu"}, "field 'names': expected a tuple of one name or more, got 'relu'"),
    ],
)
def test_kinds_that_no_value_is_of(kind: type[OptionKind], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpecError, match=re.escape(message)):
        kind(**fields)
