"""Options of an encoder that a user chooses: checked, kept in the blueprint and the config, read from SMP's configs."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_specs import architecture, encoder, neck

import smp_core
from smp_core import registry
from smp_core.errors import BlueprintError, CheckpointError, InvalidSpecError, OptionError
from smp_core.plugin import Number, OneOf
from smp_core.registry import Registry
from smp_core.registry.discovery import LoadedPlugin, PluginRecord

_KINDS = {"drop": Number(), "stem": OneOf(names=("deep", "plain"))}
_ENCODERS = [
    encoder(name="kinds", user_options=("drop", "stem", "free"), option_kinds=_KINDS),
    encoder(name="net", user_options=("drop", "width", "img_size")),
    encoder(name="vit", reductions=(16,) * 6, tokens=True, max_depth=6, user_options=("drop",)),
    encoder(name="rigid"),
]
_ARCHITECTURES = [
    architecture(name="map", class_name="Map", options={"channels": 8}),
    # An option of this one is called as one of the encoder's.
    architecture(name="wide", class_name="Wide", options={"width": 8}),
]


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    loaded = LoadedPlugin(
        record=PluginRecord(distribution="acme-smp", version="1.2.3", module="m"),
        encoders={spec.name: spec for spec in _ENCODERS},
        architectures={spec.name: spec for spec in _ARCHITECTURES},
        necks={"n": neck()},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registry", Registry([loaded]))
        yield


def make(arch: str = "map", spec: str = "net", **arguments: Any) -> smp_core.Blueprint:
    return smp_core.blueprint(arch, spec, **{"encoder_weights": None, **arguments})


# --- chosen


def test_they_are_kept_in_a_fixed_form() -> None:
    given_options: dict[str, Any] = {"img_size": [224, 256], "width": {"stem": 3}}
    made = make(encoder_options=given_options)
    given_options["width"]["stem"] = 4
    assert made.encoder_options == {"img_size": (224, 256), "width": {"stem": 3}}
    with pytest.raises(TypeError, match="does not support item assignment"):
        made.encoder_options["drop"] = 1
    with pytest.raises(TypeError, match="does not support item assignment"):
        made.encoder_options["width"]["stem"] = 4
    assert made != make()
    assert made == make(encoder_options={"width": {"stem": 3}, "img_size": (224, 256)})


def test_none_are_chosen() -> None:
    for nothing in (None, {}):
        made = make(encoder_options=nothing)
        assert made == make()
        assert made.encoder_options == {}
        assert "encoder_options" not in made.to_config()["_smp_core"]
    assert make(spec="rigid", encoder_options={}).encoder_options == {}


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("net", {"dropp": 1}, "encoder_options: encoder 'net' has no option 'dropp'; did you mean 'drop'?"),
        (
            "net",
            {"x": 1, "drop": 1},
            "encoder_options: encoder 'net' has no option 'x'; it takes drop, width, img_size",
        ),
        (
            "net",
            {"dropp": 1, "widht": 1},
            "encoder_options: encoder 'net' has no option 'dropp', 'widht'; did you mean 'drop' or 'width'?",
        ),
        ("rigid", {"drop": 1}, "encoder_options: encoder 'rigid' has no option 'drop'; it takes none"),
        (
            "net",
            {"in_channels": 4},
            "encoder_options: encoder 'net' has no option 'in_channels'; it takes drop, width,",
        ),
        ("net", 3, "encoder_options=3: expected a mapping of option names to values, or None"),
        ("net", "drop", "encoder_options='drop': expected a mapping of option names to values, or None"),
        ("net", ["drop"], "encoder_options=['drop']: expected a mapping of option names to values, or None"),
        ("net", {3: 1}, "encoder_options={3: 1}: expected a mapping of option names to values, or None"),
        ("net", {"drop": (i for i in ())}, "encoder_options={'drop': <generator object"),
    ],
)
def test_wrong_ones(spec: str, options: Any, message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}"):
        make(spec=spec, encoder_options=options)


def test_wrong_ones_are_told_with_all_else() -> None:
    with pytest.raises(
        BlueprintError, match=r"(?s)^5 things are wrong:.*classes must.*option 'x'.*depth 1..5.*'colour'"
    ):
        make(encoder_options={"x": 1}, classes=0, encoder_depth=9, colour=1)


# --- a value

_leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_values = st.recursive(
    _leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner), max_leaves=6
)
_options = st.dictionaries(st.sampled_from(["drop", "width", "img_size"]), _values)
_parts = st.sampled_from(
    [("map", "net", {}), ("wide", "net", {"width": 3}), ("map", "net", {"neck": "n"}), ("wide", "net", {"neck": "n"})]
)


@given(_parts, _options)
def test_a_config_and_a_pickle_give_an_equal_blueprint_back(
    parts: tuple[str, str, dict[str, Any]], options: dict[str, Any]
) -> None:
    made = make(parts[0], parts[1], **parts[2], encoder_options=options)
    config = json.loads(json.dumps(made.to_config()))
    again = smp_core.Blueprint.from_config(config)
    assert again == made
    assert repr(dict(again.encoder_options)) == repr(dict(made.encoder_options))
    assert again.to_config() == made.to_config()
    for copied in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert copied == made
        assert copied.encoder_options == made.encoder_options
        with pytest.raises(TypeError, match="does not support item assignment"):
            copied.encoder_options["drop"] = 1


@given(_parts, _options, _options)
def test_what_is_changed_is_as_if_it_had_been_asked_for(
    parts: tuple[str, str, dict[str, Any]], options: dict[str, Any], others: dict[str, Any]
) -> None:
    made = make(parts[0], parts[1], **parts[2], encoder_options=options)
    assert made.changed(classes=3) == make(parts[0], parts[1], **parts[2], encoder_options=options, classes=3)
    assert made.changed(encoder_options=others) == make(parts[0], parts[1], **parts[2], encoder_options=others)
    assert made.changed(encoder_options=None) == make(parts[0], parts[1], **parts[2])


def test_those_under_a_chosen_neck() -> None:
    made = make(spec="vit", encoder_options={"drop": 0.1})
    assert (made.neck.spec.name, made.encoder_options) == ("n", {"drop": 0.1})
    assert smp_core.Blueprint.from_config(json.loads(json.dumps(made.to_config()))) == made


def test_a_change_is_checked() -> None:
    with pytest.raises(OptionError, match=r"^encoder_options: encoder 'net' has no option 'x'; it takes drop, "):
        make().changed(encoder_options={"x": 1})


# --- configs


def test_where_they_are_in_a_config() -> None:
    config = make(encoder_options={"img_size": (2, 3)}).to_config()
    assert config["_smp_core"]["encoder_options"] == {"img_size": (2, 3)}
    assert "img_size" not in config
    config["_smp_core"]["encoder_options"]["img_size"] = 9
    assert make().to_config() == make(encoder_options={}).to_config()


@pytest.mark.parametrize("damaged", [[1], "drop", 3])
def test_a_damaged_record(damaged: Any) -> None:
    config = make(encoder_options={"drop": 1}).to_config()
    config["_smp_core"]["encoder_options"] = damaged
    with pytest.raises(
        CheckpointError, match=r"^the config is damaged: '_smp_core' and what it holds must be objects$"
    ):
        smp_core.Blueprint.from_config(config)


def test_a_recorded_option_that_the_encoder_no_longer_has() -> None:
    config = make(encoder_options={"drop": 1}).to_config()
    config["_smp_core"]["encoder_options"] = {"dropout": 1}
    with pytest.raises(
        OptionError, match=r"^encoder_options: encoder 'net' has no option 'dropout'; did you mean 'drop"
    ):
        smp_core.Blueprint.from_config(config)


def _of_smp(arch: str = "Map", spec: str = "net", **keywords: Any) -> dict[str, Any]:
    """A config as segmentation_models_pytorch writes it."""
    return {"_model_class": arch, "encoder_name": spec, "encoder_depth": 5, "encoder_weights": None, **keywords}


def test_a_keyword_that_smp_handed_on_is_the_encoders() -> None:
    read = smp_core.Blueprint.from_config(_of_smp(img_size=[64, 96], drop=0.1, channels=9))
    assert read == make(encoder_options={"img_size": (64, 96), "drop": 0.1}, channels=9)
    assert smp_core.Blueprint.from_config(read.to_config()) == read


def test_a_keyword_of_the_architecture_is_the_architectures() -> None:
    """It never came to the encoder."""
    read = smp_core.Blueprint.from_config(_of_smp("Wide", width=3, drop=0.1))
    assert read == make("wide", width=3, encoder_options={"drop": 0.1})
    # One of ours has both, each in its place.
    both = make("wide", width=3, encoder_options={"width": 5})
    assert smp_core.Blueprint.from_config(both.to_config()) == both


def test_what_is_recorded_wins() -> None:
    config = make(encoder_options={"drop": 0.2}).to_config() | {"drop": 0.1, "width": 4}
    assert smp_core.Blueprint.from_config(config).encoder_options == {"drop": 0.2, "width": 4}


def test_a_keyword_that_nobody_knows_is_ignored_as_before() -> None:
    with pytest.warns(
        UserWarning, match=r"has drop=0.1, which architecture 'acme-smp/map' does not know; it is ignored"
    ):
        read = smp_core.Blueprint.from_config(_of_smp(spec="rigid", drop=0.1))
    assert read.encoder_options == {}


def test_a_user_writes_them_apart() -> None:
    """What a saved model may have at its top level, a call may not; it is told where."""
    message = "'drop', 'width' is of encoder 'net': write encoder_options={'drop': 0.1, 'width': 4}"
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        make(drop=0.1, width=4)
    with pytest.raises(
        OptionError, match=r"(?s)^'drop' is of encoder 'net': .*\narchitecture 'acme-smp/map' has no option 'x'; "
    ):
        make(drop=0.1, x=4)
    with pytest.raises(
        OptionError, match=r"^architecture 'acme-smp/map' has no option 'drop'; its options are channels"
    ):
        make(spec="rigid", drop=0.1)


def test_kinds_of_an_encoders_options_are_compared_before_anything_is_built() -> None:
    assert make(spec="kinds", encoder_options={"drop": 0.5, "free": "anything"}).encoder_options["drop"] == 0.5
    with pytest.raises(OptionError, match="encoder_options: drop must be a number between 0 and 1, got 3") as raised:
        make(spec="kinds", encoder_options={"drop": 3, "stem": "wide"})
    assert "unknown encoder_options: stem 'wide'; expected one of deep, plain" in str(raised.value)
    with pytest.raises(InvalidSpecError, match="field 'option_kinds': expected a mapping of names among user_options"):
        encoder(user_options=("drop",), option_kinds=_KINDS)
