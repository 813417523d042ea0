"""The blueprint: what is filled in, that it is a value, that a config gives it back, and that errors say everything."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smp_core
from smp_core import errors, registry
from smp_core._specs.chosen import Chosen
from smp_core.errors import BlueprintError, CreationError, IncompatibleError, OptionError
from smp_core.inputs import Preprocessing
from smp_core.plugin import ArchitectureSpec, EncoderSpec, WeightsSpec
from smp_core.registry import Registry
from smp_core.registry.discovery import LoadedPlugin, PluginRecord

_OPTIONS = {"width": 8, "norm": "batchnorm", "widths": (16, 8), "extra": None}
_SETS = {"imagenet": WeightsSpec(file="w"), "dino": WeightsSpec(file="d", mean=(0.5,) * 3, std=(0.5,) * 3)}


def _encoder(name: str, **fields: Any) -> EncoderSpec:
    values: dict[str, Any] = {
        "name": name,
        "target": "not_there:Encoder",
        "out_channels": (3, 8, 16, 32, 64, 128),
        "reductions": (1, 2, 4, 8, 16, 32),
        "weights": _SETS,
        "default_weights": "imagenet",
        **fields,
    }
    return EncoderSpec(**values)


def _architecture(name: str, **fields: Any) -> ArchitectureSpec:
    values = {"name": name, "class_name": name.title(), "target": "not_there:Model", "options": _OPTIONS, **fields}
    return ArchitectureSpec(**values)


_ENCODERS = [
    _encoder("net", dilation=(8, 16)),
    _encoder("rigid", weights={}, default_weights=None),
    _encoder("vit", reductions=(16,) * 6, tokens=True, max_depth=6),
]
_ARCHITECTURES = [
    _architecture("map", min_depth=1, default_depth=4),
    _architecture("atrous", dilation=(16, 8)),
    _architecture("dense", tokens=True, pyramid=False, default_depth=4, min_depth=1, max_depth=6),
]


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    loaded = LoadedPlugin(
        record=PluginRecord(distribution="acme-smp", version="1.2.3", module="m"),
        encoders={spec.name: spec for spec in _ENCODERS},
        architectures={spec.name: spec for spec in _ARCHITECTURES},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registry", Registry([loaded]))
        yield


def make(arch: str = "map", encoder: str = "net", **arguments: Any) -> smp_core.Blueprint:
    return smp_core.blueprint(arch, encoder, **arguments)


class Count:
    """An integer that is no int, as NumPy's."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


# --- what it says


def test_what_nobody_said_is_filled_in() -> None:
    made = make()
    assert (made.architecture.qualified_name, made.architecture.version) == ("acme-smp/map", "1.2.3")
    assert (made.encoder.qualified_name, made.neck) == ("acme-smp/net", None)
    assert (made.depth, made.output_stride, made.output_indices) == (4, None, None)
    assert (made.in_channels, made.classes, made.activation, made.aux_params) == (3, 1, None, None)
    assert made.options == _OPTIONS
    assert (made.weights, made.channel_fitting) == (Chosen("imagenet"), "smp")
    assert made.preprocessing == Preprocessing.of_weights(_SETS["imagenet"])
    assert make("atrous").output_stride == 16
    assert make("dense", "vit").output_indices is None
    assert make("dense", "vit", encoder_output_indices=[1, 3, 5]).depth == 3


def test_preprocessing_is_that_of_the_weights_where_it_fits_the_channels() -> None:
    assert make(encoder_weights="dino").preprocessing == Preprocessing.of_weights(_SETS["dino"])
    assert make(in_channels=4).preprocessing is None
    assert make(encoder_weights=None).preprocessing is None
    mine = Preprocessing(mean=(0.1,) * 4, std=(0.2,) * 4)
    assert make(in_channels=4, preprocessing=mine).preprocessing == mine
    assert make(in_channels=4, preprocessing=mine.to_dict()).preprocessing == mine


def test_lists_become_tuples_and_nothing_is_held_on_to() -> None:
    given_options, aux = {"widths": [4, [2, 1]], "norm": {"type": "layer", "shape": [3]}}, {"classes": 2}
    made = make(aux_params=aux, **given_options)
    assert made.options["widths"] == (4, (2, 1))
    assert made.options["norm"] == {"type": "layer", "shape": (3,)}
    given_options["norm"]["type"] = "batch"
    aux["classes"] = 9
    assert (made.options["norm"]["type"], made.aux_params) == ("layer", {"classes": 2})
    made.to_config()["norm"].clear()
    assert made.options["norm"]


@pytest.mark.parametrize("indices", [[0, 2, 4], (0, 2, 4), range(0, 6, 2)])
def test_output_indices_are_any_sequence_of_ints(indices: Any) -> None:
    assert make("dense", "vit", encoder_output_indices=indices).output_indices == (0, 2, 4)


@pytest.mark.parametrize("name", ["in_channels", "classes", "encoder_depth", "encoder_output_stride"])
def test_any_integer_is_a_count(name: str) -> None:
    made = make("atrous", **{name: Count(value := 8 if name == "encoder_output_stride" else 4)})
    assert made == make("atrous", **{name: value})
    assert json.loads(json.dumps(made.to_config()))[name] == value


def test_the_classes_of_a_classification_head_may_be_any_integer() -> None:
    made = make(aux_params={"classes": Count(3)})
    assert made == make(aux_params={"classes": 3})
    assert json.loads(json.dumps(made.to_config()))["aux_params"] == {"classes": 3}


# --- a value


def test_two_that_say_the_same_are_equal() -> None:
    assert make() == make(encoder_weights="imagenet", encoder_depth=4, width=8) == make("acme-smp/map", "acme-smp/net")
    assert make(widths=[16, 8]) == make()
    for other in ({"classes": 2}, {"width": 9}, {"encoder_weights": None}, {"channel_fitting": "mean_preserving"}):
        assert make(**other) != make()
    with pytest.raises(TypeError, match="unhashable"):
        hash(make())


def test_it_is_frozen() -> None:
    made = make()
    for item in dataclasses.fields(made):
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{item.name}'"):
            setattr(made, item.name, None)
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot delete field '{item.name}'"):
            delattr(made, item.name)


def test_what_lies_in_it_is_frozen() -> None:
    made = make(aux_params={"classes": 2}, norm={"type": "layer"})
    with pytest.raises(TypeError, match="does not support item assignment"):
        made.options["width"] = 9
    with pytest.raises(TypeError, match="does not support item assignment"):
        made.aux_params["classes"] = 9
    with pytest.raises(TypeError, match="does not support item assignment"):
        made.options["norm"]["type"] = "batch"


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, *(lambda made, p=p: pickle.loads(pickle.dumps(made, p)) for p in range(2, 6))]
)
def test_a_copy_is_equal(copied: Callable[[Any], Any]) -> None:
    made = make("dense", "vit", encoder_output_indices=[1, 3], aux_params={"classes": 2}, widths=[1], activation="tanh")
    again = copied(made)
    assert again == made
    assert again.to_config() == made.to_config()
    with pytest.raises(TypeError, match="does not support item assignment"):
        again.options["width"] = 9


def test_replace_makes_another() -> None:
    made = make("dense", "vit", encoder_weights=None)
    assert dataclasses.replace(made) == made
    assert dataclasses.replace(made, classes=4) == make("dense", "vit", encoder_weights=None, classes=4)
    assert dataclasses.replace(made, output_indices=[0, 1, 2, 3]).output_indices == (0, 1, 2, 3)


# --- configs

_leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
_names = st.sampled_from(["sigmoid", "softmax", "identity"])
_unit = st.floats(0, 1)
_aux = st.fixed_dictionaries(
    {"classes": st.integers(1, 99)},
    optional={"pooling": st.sampled_from(["avg", "max"]), "dropout": st.none() | _unit, "activation": _names},
)
_above = st.tuples(*[st.floats(0.1, 1)] * 3)
_preprocessing = st.builds(Preprocessing, mean=_above, std=_above, input_space=st.sampled_from(["RGB", "BGR"]))
_anything = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(_OPTIONS, _values),
        "encoder_weights": st.sampled_from([None, True, "dino"]),
        "in_channels": st.integers(1, 12),
        "classes": st.integers(1, 1000),
        "activation": st.none() | _names,
        "aux_params": st.none() | _aux,
        "channel_fitting": st.sampled_from(["smp", "mean_preserving"]),
        "preprocessing": st.none() | _preprocessing,
    },
)
_indices = st.lists(st.integers(-6, 5), min_size=1, max_size=6).map(lambda found: {"encoder_output_indices": found})
_parts = (
    st.tuples(st.just("map"), st.just("net"), st.fixed_dictionaries({}, optional={"encoder_depth": st.integers(1, 5)}))
    | st.tuples(
        st.just("atrous"),
        st.just("net"),
        st.fixed_dictionaries({"encoder_depth": st.integers(3, 5), "encoder_output_stride": st.sampled_from([8, 16])}),
    )
    | st.tuples(st.just("dense"), st.just("vit"), _indices | st.just({}))
)


@given(_parts, _anything)
def test_a_config_gives_an_equal_blueprint_back(parts: tuple[str, str, dict[str, Any]], more: dict[str, Any]) -> None:
    made = make(parts[0], parts[1], **parts[2], **more)
    config = json.loads(json.dumps(made.to_config()))
    before = copy.deepcopy(config)
    again = smp_core.Blueprint.from_config(config)
    assert again == made
    assert repr(dict(again.options)) == repr(dict(made.options))
    assert again.to_config() == made.to_config()
    assert config == before


@given(_parts, _anything, _anything)
def test_what_is_changed_is_as_if_it_had_been_asked_for(
    parts: tuple[str, str, dict[str, Any]], more: dict[str, Any], changes: dict[str, Any]
) -> None:
    apart = ("encoder_weights", "in_channels", "preprocessing")
    changes = {name: value for name, value in changes.items() if name not in apart}
    made = make(parts[0], parts[1], **parts[2], **more)
    assert made.changed(**changes) == make(parts[0], parts[1], **parts[2], **{**more, **changes})


def test_other_channels_leave_the_preprocessing_of_the_weights_behind() -> None:
    assert make().changed(in_channels=4) == make(in_channels=4)


def test_changes_of_the_encoder() -> None:
    made = make("dense", "vit", encoder_output_indices=[1, 3])
    assert made.changed() is made
    assert made.changed(encoder_output_indices=[0, 1, 2]) == make("dense", "vit", encoder_output_indices=[0, 1, 2])
    assert make(encoder_depth=2).changed(encoder_depth=3) == make(encoder_depth=3)


@pytest.mark.parametrize("name", ["arch", "encoder_name", "encoder_weights", "neck"])
def test_parts_cannot_be_changed(name: str) -> None:
    with pytest.raises(OptionError, match=f"^'{name}' cannot be changed: with other parts it is another model$"):
        make().changed(**{name: "other"})


def test_changes_are_checked_as_a_whole() -> None:
    with pytest.raises(BlueprintError, match=r"(?s)^4 things are wrong:.*classes must.*takes encoder_depth.*'colour'"):
        make().changed(classes=0, encoder_depth=9, colour=1)


# --- what is wrong

_WRONG: list[tuple[dict[str, Any], type[CreationError], str]] = [
    ({"in_channels": 0}, OptionError, "in_channels must be an int of at least 1, got 0"),
    ({"classes": True}, OptionError, "classes must be an int of at least 1, got True"),
    ({"activation": 3}, OptionError, "expected a str, a callable or None as activation, got int: 3"),
    ({"aux_params": {}}, OptionError, "aux_params: no key 'classes'; expected 'classes'"),
    ({"aux_params": {"classes": True}}, OptionError, "aux_params: classes must be an int of at least 1, got True"),
    ({"aux_params": {"classes": 2, "size": 1}}, OptionError, "aux_params: unknown key 'size'; expected 'classes'"),
    ({"aux_params": {"classes": 2, "dropout": 2}}, OptionError, "aux_params: dropout must be a number between 0 and 1"),
    ({"aux_params": {"classes": 2, "pooling": "min"}}, OptionError, "unknown pooling 'min'; expected one of avg, max"),
    ({"channel_fitting": "tight"}, OptionError, "unknown channel_fitting 'tight'; expected one of smp, mean_pres"),
    ({"preprocessing": {"mean": [1]}}, OptionError, "preprocessing={'mean': [1]}: expected a smp_core.inputs.Prepr"),
    ({"encoder_weights": "none such"}, OptionError, "encoder_weights='none such' is neither a weight set of encoder"),
    ({"encoder_depth": True}, OptionError, "the encoder depth must be an int, got True"),
    ({"encoder_output_stride": "8"}, OptionError, "the output stride must be an int or None, got '8'"),
    ({"encoder_output_indices": "12"}, OptionError, "the output indices must be a sequence of ints or None, got '12'"),
    ({"encoder_output_indices": []}, OptionError, "the output indices must be a sequence of ints or None, got ()"),
    ({"colour": "blue"}, OptionError, "architecture 'acme-smp/map' has no option 'colour'; its options are width, "),
    ({"encoder_depth": 6}, IncompatibleError, "encoder 'net' takes encoder_depth 1..5, not 6; architecture 'map' tak"),
    ({"encoder_output_stride": 8}, IncompatibleError, "architecture 'map' takes no encoder_output_stride, got 8"),
    ({"encoder_output_indices": [1] * 4}, IncompatibleError, "architecture 'map' takes no encoder_output_indices, got"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), _WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_argument(arguments: dict[str, Any], error: type[CreationError], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}") as caught:
        make(**arguments)
    assert type(caught.value) is error


# One of each argument; those of the encoder's depth, stride and indices stand in each other's way.
_APART = [item for item in {next(iter(item[0])): item for item in _WRONG}.values() if "encoder_output" not in str(item)]


@given(st.lists(st.sampled_from(_APART), min_size=2, unique_by=lambda item: next(iter(item[0]))))
def test_everything_that_is_wrong_is_said_at_once(wrong: list[tuple[dict[str, Any], type[CreationError], str]]) -> None:
    arguments = {name: value for item in wrong for name, value in item[0].items()}
    kinds = {error for _, error, _ in wrong}
    with pytest.raises(CreationError, match=r"^\d+ things are wrong:\n  ") as caught:
        make(**arguments)
    assert type(caught.value) is (BlueprintError if len(kinds) > 1 else OptionError)
    for _, _, message in wrong:
        assert message.partition("; architecture")[0] in str(caught.value)


def test_an_error_of_both_kinds_is_caught_as_either() -> None:
    for kind in (IncompatibleError, OptionError, ValueError, TypeError, CreationError):
        with pytest.raises(kind, match=r"^2 things are wrong:\n  classes must be .*\n  architecture 'map' takes no "):
            make(classes=0, encoder_output_stride=8)


def test_parts_that_do_not_fit_are_all_named() -> None:
    with pytest.raises(IncompatibleError, match=r"^architecture 'dense' needs prefix .*; .* takes no encoder_output"):
        make("dense", "net", encoder_output_stride=8)
    with pytest.raises(OptionError, match=r"^encoder 'rigid' has no pretrained weights; pass encoder_weights=None"):
        make("map", "rigid")


def test_all_unknown_names_are_in_one_error() -> None:
    with pytest.raises(
        errors.UnknownArchitectureError, match=r"^unknown architecture 'mab'; .*\nunknown encoder 'nett'"
    ):
        make("mab", "nett")
    with pytest.raises(errors.UnknownEncoderError, match=r"^unknown encoder 'nett'; .* 'net'.\nunknown neck 'none'"):
        make("map", "nett", neck="none")
    with pytest.raises(errors.UnknownNeckError, match=r"^unknown neck 'none'; installed are simple_pyramid, .*regrid$"):
        make(neck="none")
    with pytest.raises(OptionError, match=r"architecture as a str, got int: 3\nunknown encoder 'nett'"):
        make(3, "nett")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "phrase"), [("arch", "an architecture"), ("encoder", "an encoder"), ("neck", "a neck")]
)
def test_a_name_is_a_string(word: str, phrase: str) -> None:
    with pytest.raises(OptionError, match=f"^expected the name of {phrase} as a str, got int: 3$"):
        smp_core.blueprint(**{"arch": "map", "encoder": "net", word: 3})  # type: ignore[arg-type]


@pytest.mark.parametrize(("arch", "encoder"), [("map", "net"), ("atrous", "net"), ("dense", "vit")])
def test_a_huge_depth_is_refused_at_once(arch: str, encoder: str) -> None:
    for depth in (10**9, -(10**9), 10**30):
        with pytest.raises(IncompatibleError, match=f"^encoder '{encoder}' takes encoder_depth 1..., not {depth}; "):
            make(arch, encoder, encoder_depth=depth)
        assert not smp_core.compatible(arch, encoder, encoder_depth=depth)


def test_no_encoder() -> None:
    with pytest.raises(OptionError, match=r"^no encoder given: pass its name, as in encoder='resnet34', or a built mo"):
        smp_core.blueprint("map")
    with pytest.raises(OptionError, match=r"^no argument is called 'encoder_name': write encoder='net'$"):
        smp_core.blueprint("map", encoder_name="net")


def test_an_argument_of_another_library_is_translated_and_hides_nothing() -> None:
    with pytest.raises(OptionError, match="no argument is called 'architecture': write arch='map'"):
        make(architecture="map")
    with pytest.raises(OptionError, match=r"(?s)no argument is called 'encoder_name': write encoder='x'.*'colour'"):
        make(encoder_name="x", colour=1)


def test_create_says_so_too() -> None:
    pytest.importorskip("torch", reason="create builds models")
    with pytest.raises(OptionError, match=r"^no argument is called 'encoder_name': write encoder='net'$"):
        smp_core.create("map", encoder_name="net")


@pytest.mark.skipif(importlib.util.find_spec("smp_unet") is None, reason="smp-unet is not installed")
@pytest.mark.skipif(importlib.util.find_spec("smp_resnet") is None, reason="smp-resnet is not installed")
def test_a_blueprint_imports_no_torch() -> None:
    script = (
        "import sys, smp_core\nmade = smp_core.blueprint('unet', 'resnet34')\nmade.changed(classes=2).to_config()\n"
    )
    script += "smp_core.Blueprint.from_config(made.to_config())\nprint(made.depth, 'torch' in sys.modules)"
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, ["5", "False"]), done.stderr
