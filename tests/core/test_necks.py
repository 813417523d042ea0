"""Necks: a module between encoder and decoder, chosen by name, in the blueprint, the config and the saved model."""

from __future__ import annotations

import copy
import functools
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_encoders
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from toy_models import ToyEncoder, ToyNeck, architecture_spec, encoder_spec, neck_spec, randomise

import smp_core
from smp_core import registry
from smp_core.errors import (
    CheckpointError,
    IncompatibleError,
    MissingPluginError,
    NameConflictError,
    OptionError,
    PluginError,
    UnknownNeckError,
)
from smp_core.plugin import Migration, WeightsSpec

AddNeck = Callable[..., None]


@pytest.fixture
def add_neck(install) -> AddNeck:
    """``add_neck(*specs, distribution=..., version=...)`` adds a plugin with necks."""
    return functools.partial(install, distribution="acme-smp-neck", version="3.2")


@pytest.fixture
def parts(install, add_neck: AddNeck) -> AddNeck:
    """A pyramid, a token encoder, an architecture, and a neck over either."""
    install(encoder_spec(), fake_encoders.transformer("fake-tokens"), architecture_spec())
    add_neck(neck_spec())
    return add_neck


BOTH = pytest.mark.parametrize("encoder", ["toy_encoder", "fake-tokens"])


def build(encoder: Any = "toy_encoder", arch: str = "toy", **options: Any) -> smp_core.SegmentationModel:
    model = smp_core.create(arch, encoder, **{"encoder_weights": None, "neck": "toy_neck", **options})
    randomise(model)
    return model


def image(channels: int = 3) -> Tensor:
    return torch.rand(1, channels, 32, 48, generator=torch.Generator().manual_seed(1))


def assert_same(model: nn.Module, other: nn.Module) -> None:
    first, second = model.state_dict(), other.state_dict()
    assert list(first) == list(second)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


# --- built


@BOTH
@pytest.mark.usefixtures("parts")
def test_a_model_with_a_neck(encoder: str) -> None:
    model = build(encoder, classes=2, aux_params={"classes": 5})
    assert isinstance(model.encoder.neck, ToyNeck)
    assert model.encoder.neck.takes_tokens is (encoder == "fake-tokens")
    # Of the neck's levels the architecture wants those down to 2**3, its default depth; the others are not built.
    assert (model.encoder.reductions, model.encoder.out_channels) == ((4, 8), (6, 7))
    assert len(model.encoder.neck.lateral) == 2
    masks, labels = model(image())
    assert (masks.shape, labels.shape) == ((1, 2, 32, 48), (1, 5))
    masks.sum().backward()
    assert model.encoder.neck.lateral[-1].weight.grad is not None


@BOTH
@pytest.mark.usefixtures("parts")
def test_a_neck_is_in_the_blueprint_and_the_config(encoder: str) -> None:
    model = build(encoder)
    wanted = smp_core.blueprint("toy", encoder, encoder_weights=None, neck="toy_neck")
    assert model.blueprint == wanted
    assert (wanted.neck.qualified_name, wanted.neck.version, wanted.neck.kind) == (
        *("acme-smp-neck/toy_neck", "3.2", "neck"),
    )
    assert model.config["_smp_core"]["neck"] == {
        "distribution": "acme-smp-neck",
        "version": "3.2",
        "name": "acme-smp-neck/toy_neck",
    }
    assert wanted != smp_core.blueprint("toy", "toy_encoder", encoder_weights=None)
    for copied in (copy.deepcopy(wanted), pickle.loads(pickle.dumps(wanted))):
        assert copied == wanted
    assert smp_core.Blueprint.from_config(json.loads(json.dumps(model.config))) == wanted
    assert wanted.changed(classes=3).neck == wanted.neck
    assert list(smp_core.build(wanted).state_dict()) == list(model.state_dict())


def test_options_of_a_neck_reach_it(parts: AddNeck) -> None:
    parts(neck_spec(name="wide", options={"width": 20, "levels": (2, 4)}, reductions=(2, 4)))
    assert build(neck="wide").encoder.out_channels == (20, 21)


@pytest.mark.usefixtures("parts")
def test_output_indices_go_to_a_token_encoder_under_a_neck() -> None:
    model = build("fake-tokens", encoder_output_indices=[1, 5])
    assert (model.encoder.encoder.indices, model.blueprint.depth) == ([1, 5], 2)
    assert smp_core.Blueprint.from_config(json.loads(json.dumps(model.config))) == model.blueprint
    message = "encoder 'toy_encoder', which is no plain transformer, takes no encoder_output_indices, got [1, 3]"
    with pytest.raises(IncompatibleError, match=f"^{re.escape(message)}$"):
        build(encoder_output_indices=[1, 3], encoder_depth=2)


@pytest.mark.parametrize("channels", [3, 2])
def test_the_encoders_weights_load_inside(parts, install, tmp_path: Path, channels: int) -> None:
    trained = ToyEncoder()
    randomise(trained, seed=3)
    save_file(dict(trained.state_dict()), tmp_path / "toy.safetensors")
    weights = {"toy": WeightsSpec(file=str(tmp_path / "toy.safetensors"))}
    install(encoder_spec(name="trained", weights=weights, default_weights="toy"), distribution="acme-smp-trained")
    model = smp_core.create("toy", "trained", encoder_depth=4, neck="toy_neck", in_channels=channels)
    plain = smp_core.create_encoder("trained", depth=4, in_channels=channels)
    assert_same(model.encoder.encoder, plain)
    assert torch.equal(model.encoder.encoder.stage2[0].weight, trained.stage2[0].weight)
    assert (model.preprocessing is not None) == (channels == 3)


# --- saved


@BOTH
@pytest.mark.usefixtures("parts")
def test_what_is_saved_comes_back(tmp_path: Path, encoder: str) -> None:
    model = build(encoder, classes=2, in_channels=4)
    model.save_pretrained(tmp_path)
    loaded = smp_core.from_pretrained(tmp_path)
    assert_same(loaded, model)
    assert loaded.blueprint == model.blueprint
    assert torch.equal(loaded.predict(image(4)), model.predict(image(4)))
    card = (tmp_path / "README.md").read_text()
    assert "pip install acme-smp-neck acme-smp-toy smp-core" in card
    assert "- neck `toy_neck`: unknown" in card
    with pytest.warns(UserWarning, match="^not everything was loaded; left at their initialisation: segmentation_head"):
        changed = smp_core.from_pretrained(tmp_path, classes=7)
    assert_same(changed.encoder, model.encoder)


@pytest.mark.usefixtures("parts")
def test_a_neck_over_an_encoder_of_the_users_own(tmp_path: Path) -> None:
    model = build(ToyEncoder(depth=2))
    assert (model.blueprint.encoder, model.blueprint.neck.spec.name) == (None, "toy_neck")
    model.save_pretrained(tmp_path)
    loaded = smp_core.from_pretrained(tmp_path, encoder=ToyEncoder(depth=2))
    assert_same(loaded, model)
    assert torch.equal(loaded.predict(image()), model.predict(image()))


@pytest.mark.usefixtures("parts")
def test_other_channels_of_the_first_convolution(tmp_path: Path) -> None:
    model = build()
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"left at their initialisation: encoder\.encoder\.stage1\.0\.weight"):
        assert smp_core.from_pretrained(tmp_path, in_channels=1)(image(1)).shape == (1, 1, 32, 48)
    fitted = smp_core.from_pretrained(tmp_path, in_channels=1, channel_fitting="mean_preserving")
    grey = image(1)
    torch.testing.assert_close(fitted.predict(grey), model.predict(grey.expand(-1, 3, -1, -1)))


@pytest.mark.usefixtures("parts")
def test_smp_has_no_necks(tmp_path: Path) -> None:
    with pytest.raises((CheckpointError, OptionError), match=r"format='smp'.*neck 'acme-smp-neck/toy_neck'"):
        build().save_pretrained(tmp_path / "out", format="smp")
    assert not (tmp_path / "out").exists()


def test_the_plugin_of_a_saved_neck_is_missing(parts, tmp_path: Path, monkeypatch) -> None:
    build().save_pretrained(tmp_path)
    without = [item for item in registry._registry.loaded if not item.necks]
    monkeypatch.setattr(registry, "_registry", registry.Registry(without))
    message = (
        "this model was saved with 'acme-smp-neck/toy_neck' of 'acme-smp-neck' 3.2: neck 'acme-smp-neck/toy_neck': no "
        "plugin of the distribution 'acme-smp-neck' is installed; run: pip install acme-smp-neck"
        " if you trust its author: the name is the file's, and installing a distribution runs its code"
    )
    with pytest.raises(MissingPluginError, match=f"^{re.escape(message)}$"):
        smp_core.from_pretrained(tmp_path)


@pytest.mark.usefixtures("parts")
def test_a_neck_that_a_newer_plugin_wrote(tmp_path: Path) -> None:
    model = build()
    model.save_pretrained(tmp_path)
    edit(tmp_path, lambda config: config["_smp_core"]["neck"].update(version="4.0"))
    with pytest.warns(UserWarning, match="was saved with acme-smp-neck 4.0, but 3.2 is installed"):
        assert_same(smp_core.from_pretrained(tmp_path), model)


@pytest.mark.usefixtures("parts")
def test_a_record_of_a_neck_without_its_name_is_damaged(tmp_path: Path) -> None:
    build().save_pretrained(tmp_path)
    edit(tmp_path, lambda config: config["_smp_core"]["neck"].pop("name"))
    with pytest.raises(CheckpointError, match=r"config\.json' is damaged: .*neck"):
        smp_core.from_pretrained(tmp_path)


def test_a_necks_migration_touches_only_the_neck(install, add_neck: AddNeck, tmp_path: Path) -> None:
    install(encoder_spec(), architecture_spec())
    add_neck(neck_spec(migrations=(Migration(before="3.0", renames=((r"^side\.", "lateral."), ("conv", "no"))),)))
    model = build()
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = {key.replace("neck.lateral.", "neck.side."): value.clone() for key, value in load_file(path).items()}
    path.unlink()
    save_file(tensors, path)
    edit(tmp_path, lambda config: config["_smp_core"]["neck"].update(version="2.9"))
    assert_same(smp_core.from_pretrained(tmp_path), model)


# --- refused


@pytest.mark.parametrize(
    ("neck", "encoder", "reason"),
    [
        (
            {"pyramid": False},
            "toy_encoder",
            "neck 'toy_neck' takes features of a plain transformer, which encoder 'toy_encoder' does not yield",
        ),
        (
            {"tokens": False},
            "fake-tokens",
            "neck 'toy_neck' takes a feature pyramid, which encoder 'fake-tokens' does not yield",
        ),
        (
            {"reductions": (4, 12)},
            "toy_encoder",
            "architecture 'toy' needs a feature pyramid whose reductions are increasing powers of two; neck 'toy_neck' "
            "has reductions (4, 12)",
        ),
    ],
)
def test_parts_that_do_not_fit(install, add_neck: AddNeck, neck: dict[str, Any], encoder: str, reason: str) -> None:
    """The neck's target cannot be imported: who gets that far fails with another error."""
    install(encoder_spec(), fake_encoders.transformer("fake-tokens"), architecture_spec(default_depth=4))
    add_neck(neck_spec(target="not_there:Neck", **neck))
    with pytest.raises(IncompatibleError, match=f"^{re.escape(reason)}$"):
        build(encoder)
    assert smp_core.compatible("toy", encoder, neck="toy_neck").reasons == (reason,)


def test_a_neck_yields_no_prefix_tokens(install, add_neck: AddNeck) -> None:
    install(fake_encoders.transformer("fake-tokens"), architecture_spec(tokens=True, pyramid=False))
    add_neck(neck_spec())
    reason = "architecture 'toy' needs prefix tokens of a plain transformer; neck 'toy_neck' yields none"
    with pytest.raises(IncompatibleError, match=f"^{reason}$"):
        build("fake-tokens")


def test_a_neck_that_goes_deeper_than_the_architecture(install, add_neck: AddNeck) -> None:
    """The user asked for no depth of 6: it is the neck's."""
    install(encoder_spec(), architecture_spec())
    add_neck(neck_spec(reductions=(16, 32, 64)))
    with pytest.raises(IncompatibleError, match=r"architecture 'toy' .*neck 'toy_neck'"):
        build()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"reductions": (2, 4, 8)},
            "its spec declares reductions (2, 4, 8), but the built module has (4, 8, 16)",
        ),
        ({"target": "toy_models:Missing"}, "module 'toy_models' has no 'Missing' (target 'toy_models:Missing')"),
        ({"target": "builtins:dict"}, "expected an encoder's name or an nn.Module"),
        ({"options": {"depth": 3}}, "its target cannot be called with the keywords depth, out_channels, reductions"),
    ],
)
def test_a_neck_that_differs_from_its_spec(install, add_neck: AddNeck, fields: dict[str, Any], message: str) -> None:
    install(encoder_spec(), architecture_spec())
    add_neck(neck_spec(**fields))
    title = "neck 'acme-smp-neck/toy_neck': "
    with pytest.raises(PluginError, match=f"^{re.escape(title + message)}"):
        build()


# --- names


def test_names_of_necks(parts: AddNeck) -> None:
    parts(neck_spec(), neck_spec(name="other"), distribution="Acme.Necks", version="1.0")
    assert smp_core.list_necks() == ["acme-necks/toy_neck", "acme-smp-neck/toy_neck", "other"]
    assert smp_core.list_necks(provider="acme_necks") == ["acme-necks/toy_neck", "other"]
    assert registry.resolve_neck("other").title == "neck 'acme-necks/other'"
    conflict = "neck 'toy_neck' is provided by 2 plugins:\n  acme-smp-neck 3.2: write 'acme-smp-neck/toy_neck'\n  Acme."
    with pytest.raises(NameConflictError, match=f"^{re.escape(conflict)}"):
        build()
    assert build(neck="Acme.Necks/toy_neck").blueprint.neck.qualified_name == "acme-necks/toy_neck"
    with pytest.raises(UnknownNeckError, match=r"^unknown neck 'toy_nek'; did you mean 'toy_neck'\?$"):
        build(neck="toy_nek")
    with pytest.raises(MissingPluginError, match=r"^neck 'nobody/x': no plugin of .* run: pip install nobody$"):
        build(neck="nobody/x")
    with pytest.raises(
        UnknownNeckError, match=r"^unknown neck '/x'; a qualified name is '<distribution>/<name>', as in 'smp-n"
    ):
        build(neck="/x")


# --- training


@BOTH
@pytest.mark.usefixtures("parts")
def test_freezing_the_encoder_leaves_its_neck_trainable(encoder: str) -> None:
    """The encoder is kept as it is; the neck is as new as the decoder."""
    model = build(encoder)
    model.freeze_encoder()
    model(image()).sum().backward()
    assert not any(parameter.requires_grad for parameter in model.encoder.encoder.parameters())
    assert all(parameter.requires_grad for parameter in model.encoder.neck.parameters())
    assert all(parameter.grad is not None for parameter in model.decoder.parameters())
    assert not any(module.training for module in model.encoder.encoder.modules() if hasattr(module, "running_mean"))
    model.unfreeze_encoder()
    assert all(parameter.requires_grad for parameter in model.parameters())
