"""State dicts out of what training programs wrap around them."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from smp_core.errors import WeightsError
from smp_core.tensors.torch_files import Unread
from smp_core.tensors.unwrapping import WRAPPERS, find_state_dict, unwrap

MIDDLE = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
OWN = ("encoder.conv1.weight", "encoder.layer1.0.bn1.bias", "decoder.blocks.0.weight", "head.0.weight")


def tensors(*keys: str) -> dict[str, Tensor]:
    return {key: torch.tensor(float(index)) for index, key in enumerate(keys)}


def under(prefix: str, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state_dict.items()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    assert all(found[key] is value for key, value in expected.items())


# --- prefixes


PREFIXES = (
    "module. model. net. _orig_mod. backbone. encoder. model.module. net.backbone.encoder. model._orig_mod. segmentor. "
    "unet. my_model.inner. module.module.module."
)


@pytest.mark.parametrize("prefix", PREFIXES.split())
def test_a_prefix_and_what_lies_beside_it(prefix: str) -> None:
    state_dict = tensors(*OWN)
    beside = tensors("loss.weight", "n_averaged", "metrics.total")
    wrapped = {**beside, **under(prefix, state_dict)}
    before = dict(wrapped)
    inside, outside, found = unwrap(wrapped, OWN)
    assert found == prefix
    assert_same(inside, state_dict)
    assert_same(outside, beside)
    assert_same(wrapped, before)


def test_nothing_is_taken_off_where_nothing_was_put() -> None:
    state_dict = tensors(*OWN, "head.1.weight")
    inside, outside, prefix = unwrap(state_dict, OWN)
    assert_same(inside, state_dict)
    assert inside is not state_dict
    assert (outside, prefix) == ({}, "")


def test_the_encoder_of_a_whole_model() -> None:
    encoder = tensors("conv1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "fc.weight")
    rest = tensors("decoder.conv1.weight", "decoder.layer1.0.bn1.weight")
    own = [key for key in encoder if key != "fc.weight"]
    for outer in ("", "model.", "module.net."):
        wrapped = {**under(f"{outer}encoder.", encoder), **under(outer, rest)}
        inside, outside, prefix = unwrap(wrapped, own)
        assert prefix == f"{outer}encoder."
        assert_same(inside, encoder)
        assert_same(outside, under(outer, rest))


def test_parts_that_are_called_like_wrappers() -> None:
    for own in (
        ["encoder.weight", "encoder.bias"],
        ["model.encoder.weight", "model.decoder.weight"],
        ["module.conv.weight", "encoder.module.weight", "encoder.module.module.weight"],
        ["_orig_mod.weight"],
    ):
        for prefix in ("", "encoder.", "model.", "module.module."):
            state_dict = tensors(*own)
            inside, outside, found = unwrap(under(prefix, state_dict), own)
            assert (found, outside) == (prefix, {})
            assert_same(inside, state_dict)


def test_of_several_prefixes_the_one_with_most_then_the_shortest() -> None:
    few, all_of_them = tensors(*OWN[:2]), tensors(*OWN)
    assert unwrap({**few, **under("model.", all_of_them)}, OWN)[2] == "model."
    assert unwrap({**under("model.", few), **under("net_ema.", all_of_them)}, OWN)[2] == "net_ema."
    assert unwrap({**under("model.", all_of_them), **all_of_them}, OWN)[2] == ""
    assert unwrap({**under("teacher_of_it.", all_of_them), **under("student.", all_of_them)}, OWN)[2] == "student."
    assert unwrap({**under("b.", all_of_them), **under("a.", all_of_them)}, OWN)[2] == "b."
    # What counts is how many own keys are found, not in how many ways.
    twice = {**under("model.", few), "model.encoder.module.conv1.weight": few[OWN[0]]}
    assert unwrap({**twice, **under("network.", tensors(*OWN[:3]))}, OWN)[2] == "network."


def test_nothing_of_the_model() -> None:
    for other in (tensors("a.weight", "model.b.bias"), tensors(*OWN), {}):
        inside, outside, prefix = unwrap(other, ["c.weight"])
        assert (outside, prefix) == ({}, "")
        assert_same(inside, other)
    assert unwrap(tensors("a"), ()) == (tensors("a"), {}, "")


def test_a_block_of_another_model_is_not_taken_for_a_model() -> None:
    own = [f"{block}.{name}" for block in ("conv1", "bn1", "fc") for name in ("weight", "bias")]
    own += [f"layer1.{index}.conv.weight" for index in range(20)]
    block = ["conv1.weight", "bn1.weight", "conv2.weight", "bn2.weight", "bn2.bias"]
    other = tensors(*(f"stem.{index}.{name}" for index in range(4) for name in block))
    assert unwrap(other, own) == (other, {}, "")
    # Under a name of a wrapper a few are enough, and a full part of a model is enough under any.
    assert unwrap(under("model.", tensors(*block)), own)[2] == "model."
    assert unwrap(under("mine.", tensors(*own[:3])), own)[2] == "mine."


# --- wrappers in the middle


@pytest.mark.parametrize("segment", MIDDLE)
def test_wrappers_around_parts(segment: str) -> None:
    state_dict = tensors(*OWN)
    keys = {key: key.replace("coder.", f"coder.{segment}.", 1) for key in OWN}
    for prefix in ("", "model.", "unet."):
        wrapped = {prefix + keys[key]: value for key, value in state_dict.items()}
        inside, outside, found = unwrap(wrapped, OWN)
        assert (found, outside) == (prefix, {})
        assert_same(inside, state_dict)


def test_only_what_becomes_an_own_key_is_changed() -> None:
    state_dict = tensors("encoder._orig_mod.conv1.weight", "encoder._orig_mod.fc.weight", "head.module", "module")
    inside, _, _ = unwrap(state_dict, [*OWN, "head"])
    assert list(inside) == ["encoder.conv1.weight", "encoder._orig_mod.fc.weight", "head.module", "module"]


def test_no_entry_is_lost_where_two_become_one() -> None:
    keys = ["encoder.module.conv1.weight", "encoder._orig_mod.conv1.weight"]
    assert list(unwrap(tensors(*keys), OWN)[0]) == ["encoder.conv1.weight", keys[1]]
    assert list(unwrap(tensors(*keys, "encoder.conv1.weight"), OWN)[0]) == [*keys, "encoder.conv1.weight"]


def test_as_little_as_possible_is_left_out() -> None:
    own = ["a.module.b.weight", "a.b.weight", "a.module.module.b.weight"]
    for key, expected in [
        ("a._orig_mod.module.b.weight", "a.module.b.weight"),
        ("a._orig_mod.b.weight", "a.b.weight"),
        ("a.module._orig_mod.module.b.weight", "a.module.module.b.weight"),
        ("a.module.module.module.b.weight", "a.module.module.b.weight"),
    ]:
        assert list(unwrap(tensors(key), own)[0]) == [expected]


# Parts are called like wrappers on purpose.
segments = st.sampled_from(["a", "b", "conv", "0", "layer1", *WRAPPERS])
keys = st.builds(".".join, st.lists(segments, min_size=1, max_size=4))
own_keys = st.lists(keys, min_size=1, max_size=12, unique=True)
prefixes = st.builds(
    lambda wrappers: "".join(f"{wrapper}." for wrapper in wrappers),
    st.lists(st.sampled_from([*WRAPPERS, "unet", "segmentor"]), max_size=4),
)


@given(own=own_keys, prefix=prefixes)
def test_any_nesting_of_wrappers_comes_off(own: list[str], prefix: str) -> None:
    """All own keys are found again; where several prefixes give all of them, it is the shortest."""
    state_dict = tensors(*own)
    wrapped = under(prefix, state_dict)
    before = dict(wrapped)
    inside, outside, found = unwrap(wrapped, own)
    assert prefix.startswith(found)
    assert_same(wrapped, before)
    assert {*inside} == {*own}
    assert outside == {}
    if found == prefix:
        assert_same(inside, state_dict)


@given(own=own_keys, other=st.lists(keys, max_size=12, unique=True))
def test_no_tensor_is_ever_lost(own: list[str], other: list[str]) -> None:
    state_dict = tensors(*other)
    inside, outside, prefix = unwrap(state_dict, own)
    assert len(inside) + len(outside) == len(state_dict)
    assert {id(value) for value in [*inside.values(), *outside.values()]} == {id(v) for v in state_dict.values()}
    assert all(key.startswith(prefix) for key in state_dict if key not in outside)
    assert prefix == "" or prefix.endswith(".")
    assert len({*inside} & {*own}) >= len({*other} & {*own})
    assert unwrap(state_dict, set(own)) == (inside, outside, prefix)


@given(own=own_keys, data=st.data())
def test_wrappers_in_the_middle_come_off(own: list[str], data: st.DataObject) -> None:
    assume(not any(segment in MIDDLE for key in own for segment in key.split(".")))
    state_dict, wrapped = tensors(*own), {}
    for key, value in state_dict.items():
        first, *rest = key.split(".")
        inserted = [segment for part in rest for segment in [*data.draw(st.lists(st.sampled_from(MIDDLE))), part]]
        wrapped[".".join([first, *inserted])] = value
    inside, outside, prefix = unwrap(wrapped, own)
    assert (outside, prefix) == ({}, "")
    assert_same(inside, state_dict)


def test_thousands_of_keys_take_no_time() -> None:
    own = [f"encoder.stages.{n}.blocks.{m}.attention.norm.weight" for n in range(50) for m in range(100)]
    wrapped = under("model.module.", tensors(*own))
    wrapped = {key.replace("encoder.", "encoder._orig_mod."): value for key, value in wrapped.items()}
    wrapped[".".join("a" * 100_000)] = torch.ones(1)
    start = time.perf_counter()
    inside, outside, prefix = unwrap(wrapped, own)
    assert time.perf_counter() - start < 5
    assert (list(inside), len(outside), prefix) == (own, 1, "model.module.")


# --- where the state dict is


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "state_dict_ema", "net", "params", "a.b"])
def test_a_state_dict_in_a_checkpoint(key: str) -> None:
    net = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state_dict = dict(net.state_dict())
    checkpoint = {"epoch": 3, "optimizer": optimizer.state_dict(), key: state_dict, "scheduler": {"step": 1}}
    for own in (state_dict, ["unknown"], []):
        found, path = find_state_dict(checkpoint, own)
        assert_same(found, state_dict)
        assert path == key


def test_a_state_dict_as_it_is() -> None:
    state_dict = tensors(*OWN)
    found, path = find_state_dict(state_dict, OWN)
    assert_same(found, state_dict)
    assert path == ""
    mixed: dict[Any, Any] = {**state_dict, "epoch": 3, "names": ["a"], 0: torch.ones(1), "_metadata": {}}
    before = dict(mixed)
    found, path = find_state_dict(mixed, OWN)
    assert_same(found, state_dict)
    assert path == ""
    assert mixed == before


def test_how_deep_it_is_looked_for() -> None:
    content: Any = tensors(*OWN)
    for depth in range(6):
        found, path = find_state_dict(content, OWN)
        assert (len(found), path) == ((4, ".".join("abcde"[:depth][::-1])) if depth <= 4 else (0, ""))
        content = {"abcdef"[depth]: content}


@pytest.mark.parametrize(
    "content", [None, 3, "a", [], [tensors("a")], torch.ones(1), {}, {"a": {}}, {0: torch.ones(1)}]
)
def test_no_state_dict(content: Any) -> None:
    assert find_state_dict(content, OWN) == ({}, "")
    assert find_state_dict({"optimizer": {"state": {0: tensors(*OWN)}}, 3: content}, OWN) == ({}, "")


def test_of_several_the_one_that_shares_most() -> None:
    few, all_of_them = tensors(*OWN[:2]), tensors(*OWN)
    assert find_state_dict({"teacher": few, "student": under("module.", all_of_them)}, OWN)[1] == "student"
    assert find_state_dict({"ema": few, "model": all_of_them}, OWN)[1] == "model"
    assert find_state_dict({**few, "deep": {"er": all_of_them}}, OWN)[1] == "deep.er"
    assert find_state_dict({"model": tensors("x", "y", "z", "u", "v"), "other": few}, OWN)[1] == "other"


@pytest.mark.parametrize(
    ("key", "averaged"),
    [
        ("ema", True),
        ("state_dict_ema", True),
        ("model_ema", True),
        ("ema_model", True),
        ("EMA", True),
        ("modelEMA", True),
        ("ModelEma", True),
        ("emaModel", True),
        ("semantic", False),
        ("schema", False),
        ("SCHEMA", False),
        ("remat", False),
    ],
)
def test_averaged_weights_are_preferred(key: str, averaged: bool) -> None:
    content = {"model": tensors(*OWN), "x": {key: {"module": tensors(*OWN)}}}
    for own in (OWN, []):
        assert find_state_dict(content, own)[1] == (f"x.{key}.module" if averaged else "model")


def test_of_equal_ones_the_less_deep_then_the_earlier() -> None:
    assert find_state_dict({"a": {"b": tensors(*OWN)}, "c": tensors(*OWN), "d": tensors(*OWN)}, OWN)[1] == "c"


def test_where_nothing_is_known_the_largest_that_is_not_an_optimizers() -> None:
    content = {
        "mean": torch.ones(3),
        "optimizer": tensors(*(f"state.{n}" for n in range(9))),
        "state_dict": tensors("a", "b"),
    }
    assert find_state_dict(content, [])[1] == "state_dict"
    assert find_state_dict({"optimizer": tensors("a")}, [])[1] == "optimizer"


def module(parameters: dict[str, Tensor], **children: Unread) -> Unread:
    made = Unread("some.Net")
    made.state = {"_parameters": parameters, "_buffers": {}, "_modules": children}
    return made


def test_modules_that_were_pickled_as_a_whole() -> None:
    net = module({}, encoder=module(tensors("weight")), head=module(tensors("bias")))
    for content, place in [(net, ""), ({"epoch": 1, "model": net, "args": Unread("argparse.Namespace")}, "model")]:
        found, path = find_state_dict(content, ["encoder.weight", "head.bias"])
        assert list(found) == ["encoder.weight", "head.bias"]
        assert path == place
    net.state["_modules"]["again"] = net
    with pytest.raises(WeightsError, match=r"^the pickled 'some.Net' has more than 100000 modules"):
        find_state_dict({"model": net}, [])


def test_mappings_that_hold_themselves() -> None:
    content: dict[str, Any] = {"model": tensors(*OWN)}
    for name in "abc":
        content[name] = {"again": content}
    assert find_state_dict(content, OWN)[1] == "model"
