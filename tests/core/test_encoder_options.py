"""Options of an encoder that a user chooses: they reach it, are saved and loaded with the model, and SMP's are read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from toy_models import ToyEncoder, architecture_spec, assert_same, encoder_spec, neck_spec, randomise

import smp_core
from smp_core.errors import CheckpointError, OptionError, PluginError
from smp_core.plugin import EncoderSpec, WeightsSpec

_OPTIONS = ("dropout", "bias")


@pytest.fixture(autouse=True)
def _installed(install) -> None:
    install(encoder_spec(user_options=_OPTIONS, options={"dropout": 0.5}), architecture_spec())


def create(encoder: Any = "toy_encoder", **arguments: Any) -> smp_core.SegmentationModel:
    model = smp_core.create("toy", encoder, **{"encoder_weights": None, **arguments})
    randomise(model)
    return model


def _listing() -> EncoderSpec:
    return encoder_spec(name="listing", target="toy_models:Listing", user_options=("places", "width"))


def dropout_of(encoder: nn.Module) -> float:
    return next(layer.p for layer in encoder.modules() if isinstance(layer, nn.Dropout))


# --- built


def test_they_reach_the_encoder() -> None:
    model = create(encoder_options={"bias": True, "dropout": 0.25})
    assert model.encoder.stage1[0].bias is not None
    assert dropout_of(model.encoder) == 0.25
    assert model.blueprint.encoder_options == {"bias": True, "dropout": 0.25}
    again = smp_core.build(model.blueprint)
    assert list(again.state_dict()) == list(model.state_dict())


def test_the_specs_own_hold_where_a_user_chooses_nothing() -> None:
    assert dropout_of(create().encoder) == 0.5
    assert dropout_of(create(encoder_options={"bias": True}).encoder) == 0.5


def test_of_an_encoder_alone() -> None:
    encoder = smp_core.create_encoder("toy_encoder", weights=None, options={"dropout": 0.125}, depth=2)
    assert dropout_of(encoder) == 0.125
    assert smp_core.create_encoder("toy_encoder", weights=None, options=None).stage1[0].bias is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropuot": 0.1}, "encoder_options: encoder 'toy_encoder' has no option 'dropuot'; did you mean 'dropout'?"),
        ({"depth": 3}, "encoder_options: encoder 'toy_encoder' has no option 'depth'; it takes dropout, bias"),
        (["bias"], "encoder_options=['bias']: expected a mapping of option names to values, or None"),
        ({"bias": "yes"}, "encoder_options: bias must be True or False, got 'yes'"),
    ],
)
def test_wrong_ones(options: Any, message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        create(encoder_options=options)
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        smp_core.create_encoder("toy_encoder", weights=None, options=options)


def test_all_that_is_wrong_with_an_encoder_alone() -> None:
    with pytest.raises(
        smp_core.errors.BlueprintError, match=r"(?s)^2 things are wrong:.*depth 1..4, not 9.*option 'x'"
    ):
        smp_core.create_encoder("toy_encoder", weights=None, depth=9, options={"x": 1})


def test_a_module_is_built_already() -> None:
    with pytest.raises(
        OptionError, match=r"^encoder_options: encoder 'ToyEncoder' has no option 'bias'; it takes none$"
    ):
        create(ToyEncoder(), encoder_options={"bias": True})
    assert create(ToyEncoder(), encoder_options={}).blueprint.encoder_options == {}


def test_an_option_that_the_target_has_not(install) -> None:
    install(encoder_spec(name="untrue", user_options=("width",)), distribution="acme-smp-untrue")
    message = r"^encoder 'acme-smp-untrue/untrue': its target cannot be called with the keywords width, in_channels"
    with pytest.raises(PluginError, match=message):
        create("untrue", encoder_options={"width": 3})
    assert create("untrue").blueprint.encoder_options == {}


def test_what_is_given_is_not_held_on_to(install) -> None:
    install(
        encoder_spec(name="listing", target="toy_models:Listing", user_options=("places",)),
        distribution="acme-smp-list",
    )
    places = [[1], {"a": [2]}]
    model = create("listing", encoder_options={"places": places})
    model.encoder.places[1]["a"] = 3  # an encoder may do with its own what it likes
    places[0].append(9)
    assert model.blueprint.encoder_options["places"] == ((1,), {"a": (2,)})
    assert smp_core.build(model.blueprint).encoder.places == ((1,), {"a": (2,)})


def test_under_a_neck(install) -> None:
    install(neck_spec(), distribution="acme-smp-neck")
    model = create(neck="toy_neck", encoder_options={"bias": True})
    assert model.encoder.encoder.stage1[0].bias is not None


def test_the_weights_still_load(install, tmp_path: Path) -> None:
    trained = ToyEncoder(bias=True)
    randomise(trained, seed=3)
    save_file(dict(trained.state_dict()), tmp_path / "toy.safetensors")
    weights = {"toy": WeightsSpec(file=str(tmp_path / "toy.safetensors"))}
    spec = encoder_spec(name="trained", weights=weights, default_weights="toy", user_options=_OPTIONS)
    install(spec, distribution="acme-smp-trained")
    encoder = smp_core.create_encoder("trained", options={"bias": True})
    assert torch.equal(encoder.stage1[0].bias, trained.stage1[0].bias)
    model = smp_core.create("toy", "trained", encoder_options={"bias": True})
    assert torch.equal(model.encoder.stage1[0].bias, trained.stage1[0].bias)


# --- saved


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    model = create(encoder_options={"bias": True, "dropout": 0.25}, classes=2)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["_smp_core"]["encoder_options"] == {"bias": True, "dropout": 0.25}
    assert not {"bias", "dropout"} & set(config)
    loaded = smp_core.from_pretrained(tmp_path)
    assert_same(loaded, model)
    assert loaded.blueprint == model.blueprint
    assert dropout_of(loaded.encoder) == 0.25


def test_they_may_be_changed_where_the_parameters_stay(tmp_path: Path) -> None:
    model = create(encoder_options={"bias": True, "dropout": 0.25})
    model.save_pretrained(tmp_path)
    loaded = smp_core.from_pretrained(tmp_path, encoder_options={"bias": True, "dropout": 0.75})
    assert_same(loaded, model)
    assert dropout_of(loaded.encoder) == 0.75


def test_a_value_that_no_file_holds(install, tmp_path: Path) -> None:
    install(_listing(), distribution="acme-smp-list")
    model = create("listing", encoder_options={"places": 1j})
    with pytest.raises(
        CheckpointError, match=r"^an option of this model cannot be written to config.json: .* complex is"
    ):
        model.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    model = create("listing", encoder_options={"places": nn.GELU})
    assert model.encoder.places is nn.GELU
    with pytest.warns(UserWarning, match=r"GELU'> cannot be written .*; the loaded model will have places=None$"):
        model.save_pretrained(tmp_path / "out")
    assert smp_core.from_pretrained(tmp_path / "out").encoder.places is None


# --- segmentation_models_pytorch


def of_smp(folder: Path, model: smp_core.SegmentationModel, **keywords: Any) -> Path:
    """A model as segmentation_models_pytorch saves it: what it passed on to the encoder, beside the rest."""
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["_smp_core"]
    (folder / "config.json").write_text(json.dumps({**config, "encoder_name": "toy_encoder", **keywords}))
    return folder


def test_what_smp_passed_on_is_the_encoders(tmp_path: Path) -> None:
    model = create(encoder_options={"bias": True, "dropout": 0.25})
    loaded = smp_core.from_pretrained(of_smp(tmp_path, model, bias=True, dropout=0.25))
    assert_same(loaded, model)
    assert loaded.blueprint == model.blueprint
    with pytest.warns(
        UserWarning, match=r"config has colour='blue', which architecture 'acme-smp-toy/toy' does not know"
    ):
        assert_same(smp_core.from_pretrained(of_smp(tmp_path, model, bias=True, colour="blue")), model)


def test_a_keyword_that_the_architecture_has_is_not(install, tmp_path: Path) -> None:
    """Where the spec does not declare its options, the target is asked."""
    install(encoder_spec(name="toy_encoder", user_options=("width", "bias")), distribution="acme-smp-wide")
    model = smp_core.create("toy", "acme-smp-wide/toy_encoder", encoder_weights=None, width=5)
    folder = of_smp(tmp_path, model, encoder_name="acme-smp-wide/toy_encoder")
    loaded = smp_core.from_pretrained(folder)
    assert (loaded.blueprint.options["width"], loaded.blueprint.encoder_options) == (5, {})


def test_smps_format_has_them_beside_the_rest(tmp_path: Path) -> None:
    model = create(encoder_options={"bias": True, "dropout": 0.25}, encoder_depth=2)
    model.save_pretrained(tmp_path, format="smp")
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["bias"], config["dropout"]) == (True, 0.25)
    # The stages that nothing uses are built as the others.
    assert "encoder.stage4.0.bias" in load_file(tmp_path / "model.safetensors")
    loaded = smp_core.from_pretrained(tmp_path)
    assert_same(loaded, model)
    assert loaded.blueprint == model.blueprint


def test_smps_format_cannot_tell_apart_options_of_one_name(install, tmp_path: Path) -> None:
    install(_listing(), distribution="acme-smp-list")
    model = create("listing", encoder_options={"width": 3}, width=5)
    message = "format='smp': segmentation_models_pytorch would take the encoder's width for the architecture's option"
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        model.save_pretrained(tmp_path / "out", format="smp")
    model.save_pretrained(tmp_path / "ours")
    assert smp_core.from_pretrained(tmp_path / "ours").blueprint == model.blueprint
