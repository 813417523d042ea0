"""A name's part depends on nothing but the name, the seed and the fractions."""

from __future__ import annotations

import random
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smp_datasets import OptionError, split
from smp_datasets.split import position

names = st.lists(st.text(max_size=12), unique=True, max_size=30)


@given(names=names, more=names, seed=st.integers(), random_order=st.randoms())
def test_names_that_are_added_or_moved_change_nothing(names, more, seed, random_order):
    before = split(names, seed=seed)
    assert sorted(name for part in before.values() for name in part) == sorted(names)
    everything = [*names, *(name for name in more if name not in names)]
    random_order.shuffle(everything)
    after = split(everything, seed=seed)
    for part in before:
        assert set(before[part]) <= set(after[part])
        assert after[part] == [name for name in everything if name in set(after[part])]


@given(names=names)
def test_parts_keep_their_names_when_a_later_one_is_divided(names):
    two = split(names, {"train": 0.8, "val": 0.2})
    three = split(names, {"train": 0.8, "val": 0.1, "test": 0.1})
    assert two["train"] == three["train"]


@given(name=st.text(), seed=st.integers())
def test_positions(name, seed):
    assert 0 <= position(name, seed) < 1
    assert position(unicodedata.normalize("NFD", name), seed) == position(name, seed)


def test_positions_stay_what_they_are():
    # Were they to change, so would everybody's test sets.
    assert [round(position(name, 0), 6) for name in ("a", "b", "town/0001")] == [0.08534, 0.364232, 0.762789]
    assert position("a", 1) != position("a", 0)


def test_sizes_are_about_right():
    parts = split([f"images/{number}" for number in range(20_000)])
    sizes = {part: len(found) for part, found in parts.items()}
    # Within four standard deviations.
    assert abs(sizes["train"] - 16_000) < 4 * (20_000 * 0.16) ** 0.5
    assert abs(sizes["val"] - 2_000) < 4 * (20_000 * 0.09) ** 0.5
    other = split(parts["train"], seed=1)
    assert abs(len(other["train"]) / len(parts["train"]) - 0.8) < 0.02  # seeds are independent


def test_groups_stay_together():
    files = [f"patient{number % 40}/{number}" for number in range(400)]
    parts = split(files, {"train": 0.5, "test": 0.5}, group=lambda name: name.split("/")[0])
    patients = [{name.split("/")[0] for name in part} for part in parts.values()]
    assert not patients[0] & patients[1]
    assert all(patients)


def test_edges():
    files = [str(number) for number in range(random.Random(0).randint(500, 600))]
    assert split(files, {"train": 1.0})["train"] == files
    parts = split(files, {"none": 0.0, "all": 1.0, "nothing": 0.0})
    assert (parts["none"], parts["all"], parts["nothing"]) == ([], files, [])
    tenths = split(files, {str(number): 0.1 for number in range(10)})
    assert sum(map(len, tenths.values())) == len(files)
    assert split([]) == {"train": [], "val": [], "test": []}
    assert split(["\udcff.png"])  # what os.listdir gives for a name that is no UTF-8


@pytest.mark.parametrize(
    "fractions", [{}, {"a": 0.5}, {"a": 0.7, "b": 0.7}, {"a": 1.5, "b": -0.5}, {"a": float("nan")}]
)
def test_fractions(fractions):
    with pytest.raises(OptionError, match=re.escape(f"fractions must be 0 or more and add up to 1, got {fractions}")):
        split(["x"], fractions)
