"""Folders of segmentation_models_pytorch 0.6.0 that are loaded into another model than was saved, or were wrapped."""

import argparse
import json
import re
import warnings

import pytest
import torch
from peer_models import assert_same, parity, peer_model, read_by_peer
from safetensors.torch import load_file, save_file

import smp_core
from smp_core.errors import CheckpointError

pytestmark = pytest.mark.parity

HEAD = {"segmentation_head.0.weight", "segmentation_head.0.bias"}
FIRST = {"encoder.conv1.weight"}
CLASSIFIER = {"classification_head.3.weight", "classification_head.3.bias"}

COMMON = [
    ({"classes": 5}, HEAD),
    ({"in_channels": 4}, FIRST),
    ({"activation": "sigmoid"}, set()),
    ({"aux_params": {"classes": 3}}, CLASSIFIER),
    (
        {"classes": 5, "in_channels": 1, "activation": "softmax2d", "aux_params": {"classes": 2}},
        HEAD | FIRST | CLASSIFIER,
    ),
]

CHANGES = [
    *((architecture, *case) for architecture in ("unet", "fpn", "deeplabv3plus") for case in COMMON),
    ("unet", {"decoder_interpolation": "bilinear"}, set()),
    ("unet", {"decoder_interpolation": "bicubic", "classes": 5}, HEAD),
    ("fpn", {"decoder_interpolation": "bilinear", "classes": 5}, HEAD),
    ("fpn", {"decoder_merge_policy": "cat"}, {"segmentation_head.0.weight"}),
    ("deeplabv3plus", {"encoder_output_stride": 8}, set()),
    ("deeplabv3plus", {"decoder_atrous_rates": (6, 12, 18), "upsampling": 2, "in_channels": 2}, FIRST),
]


def load(source, **arguments):
    """The model, and the messages of all warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = smp_core.from_pretrained(source, **arguments)
    assert all(item.category is UserWarning for item in caught)
    return model, [str(item.message) for item in caught]


def load_listing(folder, **changes):
    """The model, and the tensors that its one warning lists as left at their initialisation; an empty set for none."""
    model, messages = load(folder, **changes)
    if not messages:
        return model, set()
    (message,) = messages
    assert message.startswith("not everything was loaded; left at their initialisation: ")
    assert "but not in the model" not in message
    return model, set(re.findall(r"([\w.]+) \((?:not in the file\)|\()", message))


def kept(model, file):
    """The keys of a model under which it has, bit for bit, what a file has."""
    return {key for key, value in model.state_dict().items() if key in file and torch.equal(value, file[key])}


@pytest.mark.parametrize(
    ("architecture", "changes", "left"), CHANGES, ids=lambda value: "" if isinstance(value, set) else str(value)
)
def test_what_no_longer_fits_is_listed_and_all_else_is_kept(architecture, changes, left, tmp_path):
    peer_model(architecture, classes=2).save_pretrained(tmp_path)
    file = load_file(tmp_path / "model.safetensors")
    ours, listed = load_listing(tmp_path, **changes)
    assert listed == left
    assert kept(ours, file) == ours.state_dict().keys() - left
    theirs = read_by_peer(tmp_path, strict=False, **changes)
    assert kept(theirs, file) == kept(ours, file)
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    # With equal values for the rest, the changed models are the same one.
    theirs.load_state_dict(ours.state_dict())
    channels = changes.get("in_channels", 3)
    assert_same(ours, theirs, in_channels=channels)
    assert all(value.isfinite().all() for value in ours.state_dict().values())


def test_a_dropped_classification_head_is_named(tmp_path):
    theirs = peer_model("unet", aux_params={"classes": 3})
    theirs.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="^not everything was loaded; in the file, but not in the model: ") as caught:
        ours = smp_core.from_pretrained(tmp_path, aux_params=None)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert set(re.findall(r"[\w.]+\.(?:weight|bias)", message)) == CLASSIFIER
    x = parity.image()
    with torch.no_grad():
        assert parity.relative_difference(ours(x), theirs(x)[0]) < 1e-4


@pytest.mark.parametrize("channels", [1, 4])
def test_weights_of_the_first_convolution_can_be_fitted(channels, tmp_path):
    """As the peer fits pretrained weights: summed for one channel, otherwise repeated and scaled."""
    peer_model("unet").save_pretrained(tmp_path)
    weight = load_file(tmp_path / "model.safetensors")["encoder.conv1.weight"]
    expected = weight.sum(1, keepdim=True) if channels == 1 else weight[:, [0, 1, 2, 0]] * 3 / 4
    ours, listed = load_listing(tmp_path, in_channels=channels, channel_fitting="smp")
    assert listed == set()
    torch.testing.assert_close(ours.encoder.conv1.weight, expected)


def test_a_file_that_lacks_a_tensor_is_refused_whatever_was_changed(tmp_path):
    peer_model("unet").save_pretrained(tmp_path)
    file = load_file(tmp_path / "model.safetensors")
    del file["encoder.layer1.0.conv1.weight"]
    save_file(file, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"Missing key.*encoder\.layer1\.0\.conv1\.weight"):
        smp_core.from_pretrained(tmp_path, classes=5)


@pytest.mark.parametrize("prefix", ["module.", "model.", "model.module.", "_orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize(
    ("architecture", "encoder", "options"),
    [("unet", "resnet18", {"encoder_depth": 4, "decoder_channels": (32, 24, 16, 8)}), ("segformer", "mit_b0", {})],
)
def test_prefixed_keys(architecture, encoder, options, prefix, tmp_path):
    theirs = peer_model(architecture, encoder, **options)
    theirs.save_pretrained(tmp_path)
    file = {prefix + key: value for key, value in load_file(tmp_path / "model.safetensors").items()}
    save_file(file, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert_same(smp_core.from_pretrained(tmp_path), theirs)  # silently: warnings are errors here


def test_prefixed_keys_and_a_change(tmp_path):
    theirs = peer_model("unet", classes=2)
    theirs.save_pretrained(tmp_path)
    before = load_file(tmp_path / "model.safetensors")
    file = {f"module.{key}": value for key, value in before.items()}
    save_file(file, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours, listed = load_listing(tmp_path, classes=5)
    assert listed == HEAD
    assert kept(ours, before) == ours.state_dict().keys() - HEAD


def lightning_checkpoint(model, path, **beside):
    """What a training program saves: the model within its module, and its arguments in an object of Python."""
    content = {
        "state_dict": {**{f"model.{key}": value for key, value in model.state_dict().items()}, **beside},
        "hyper_parameters": argparse.Namespace(architecture="unet", learning_rate=1e-3),
        "epoch": 3,
        "global_step": 1200,
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5), "monitor": "loss"}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3}]}],
    }
    torch.save(content, path)


def blueprint_of(folder):
    """Of the config that the peer wrote."""
    return smp_core.Blueprint.from_config(json.loads((folder / "config.json").read_text()))


@pytest.mark.parametrize(
    ("architecture", "encoder", "options"),
    [
        ("unet", "resnet18", {"classes": 2}),
        ("fpn", "mobileone_s0", {"classes": 3}),
        ("unet", "densenet121", {"encoder_depth": 3, "decoder_channels": (32, 16, 8)}),
    ],
)
def test_lightning_checkpoints(architecture, encoder, options, tmp_path):
    theirs = peer_model(architecture, encoder, **options)
    theirs.save_pretrained(tmp_path)
    lightning_checkpoint(theirs, tmp_path / "last.ckpt")
    asked = smp_core.blueprint(architecture, encoder, encoder_weights=None, **options)
    for wanted in (asked, blueprint_of(tmp_path)):
        with pytest.warns(UserWarning, match="argparse.Namespace") as caught:
            ours = smp_core.from_pretrained(tmp_path / "last.ckpt", blueprint=wanted)
        assert len(caught) == 1
        assert_same(ours, theirs)


def test_what_lies_beside_the_model_is_named(tmp_path):
    theirs = peer_model("unet", classes=2)
    lightning_checkpoint(theirs, tmp_path / "last.ckpt", **{"loss.weight": torch.ones(2)})
    wanted = smp_core.blueprint("unet", "resnet18", encoder_weights=None, classes=2)
    ours, messages = load(tmp_path / "last.ckpt", blueprint=wanted)
    assert any("argparse.Namespace" in message for message in messages)
    assert any('"loss.weight"' in message for message in messages)
    assert_same(ours, theirs)


def test_a_lightning_checkpoint_with_a_change(tmp_path):
    theirs = peer_model("unet", classes=2)
    lightning_checkpoint(theirs, tmp_path / "last.ckpt")
    wanted = smp_core.blueprint("unet", "resnet18", encoder_weights=None, classes=2)
    ours, messages = load(tmp_path / "last.ckpt", blueprint=wanted, classes=5)
    assert sum("argparse.Namespace" in message for message in messages) == 1
    assert sum(message.startswith("not everything was loaded; left at their init") for message in messages) == 1
    assert len(messages) == 2
    assert kept(ours, theirs.state_dict()) == ours.state_dict().keys() - HEAD


def test_a_bare_file_of_the_peer(tmp_path):
    theirs = peer_model("deeplabv3plus", "mit_b0")
    theirs.save_pretrained(tmp_path)
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    wanted = smp_core.blueprint("deeplabv3plus", "mit_b0", encoder_weights=None)
    for name in ("model.safetensors", "weights.pth"):
        assert_same(smp_core.from_pretrained(tmp_path / name, blueprint=wanted), theirs)
