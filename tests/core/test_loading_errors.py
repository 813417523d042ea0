"""Saved models that cannot be loaded: damaged files, missing plugins, files that want more than they may."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import toy_models
from outcomes import memory_limit
from safetensors.torch import load_file, save_file
from torch import nn
from toy_models import ToyModel, architecture_spec, encoder_spec

import smp_core
from smp_core import registry
from smp_core.errors import (
    CheckpointError,
    MissingPluginError,
    NameConflictError,
    OptionError,
    UnknownArchitectureError,
    UnknownEncoderError,
)
from smp_core.registry.discovery import LoadedPlugin


@pytest.fixture
def saved(toys, tmp_path: Path) -> Path:
    return smp_core.create("toy", "toy_encoder", encoder_weights=None).save_pretrained(tmp_path / "model")


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the config of a saved model."""
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def assert_refused(folder: Any, message: str, error: type[Exception] = CheckpointError) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}") as caught:
        smp_core.from_pretrained(folder)
    assert type(caught.value) is error


# --- files


@pytest.mark.parametrize(
    "source", ["nowhere", "a/b/c", "./out/model", "/absolute/path", "", Path("out/model"), 3, None]
)
def test_no_such_model(source: Any, offline: list[str]) -> None:
    assert_refused(source, f"{str(source)!r} is neither a folder nor a Hub repository of the form 'owner/name'")
    assert offline == []


def test_a_file_is_no_folder(saved: Path, monkeypatch) -> None:
    monkeypatch.chdir(saved.parent)
    for source in ("model/config.json", str(saved / "config.json")):
        assert_refused(source, f"{source!r} is a file, which does not say which model it holds; pass blueprint=")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file(saved: Path, name: str) -> None:
    (saved / name).unlink()
    assert_refused(saved, f"no {name} in {str(saved)!r}: not a saved model")


@pytest.mark.parametrize("content", [b"", b"{", b'{"_model_class": "Toy",}', b"\xff\xfe\x00", b"null and void"])
def test_a_config_that_is_no_json(saved: Path, content: bytes) -> None:
    (saved / "config.json").write_bytes(content)
    assert_refused(saved, f"{str(saved / 'config.json')!r} is not valid JSON: ")


@pytest.mark.parametrize("content", ["[]", "3", "null", "{}", '{"_model_class": 3}', '{"architectures": ["Bert"]}'])
def test_a_config_of_something_else(saved: Path, content: str) -> None:
    (saved / "config.json").write_text(content)
    assert_refused(saved, f"{str(saved / 'config.json')!r} has no '_model_class': not written by save_pretrained")


@pytest.mark.parametrize(
    "details", ["text", [1], 3, {"architecture": "smp-unet"}, {"encoder": ["a"]}, {"preprocessing": 3}]
)
def test_details_of_the_wrong_kind(saved: Path, details: Any) -> None:
    edit(saved, lambda config: config.update(_smp_core=details))
    message = f"{str(saved / 'config.json')!r} is damaged: '_smp_core' and what it holds must be objects"
    assert_refused(saved, message)


@pytest.mark.parametrize(
    ("preprocessing", "reason"),
    [
        ({"mean": [1.0]}, "KeyError: 'std'"),
        (
            {"mean": ["a"], "std": [1], "input_space": "RGB", "input_range": [0, 1]},
            "OptionError: mean must be fin",
        ),
        (
            {"mean": [0], "std": [1], "input_space": "RGB", "input_range": 3},
            "OptionError: input_range must",
        ),
    ],
)
def test_preprocessing_with_wrong_values(saved: Path, preprocessing: Any, reason: str) -> None:
    edit(saved, lambda config: config["_smp_core"].update(preprocessing=preprocessing))
    message = f"{str(saved / 'config.json')!r} is damaged: its preprocessing has a wrong or missing value ({reason}"
    assert_refused(saved, message)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"classes": 0}, "classes must be an int of at least 1, got 0"),
        ({"in_channels": "3"}, "in_channels must be an int of at least 1, got '3'"),
        ({"encoder_depth": "deep"}, "the encoder depth must be an int, got 'deep'"),
        ({"encoder_depth": 9}, "encoder 'toy_encoder' takes encoder_depth 1..4, not 9; architecture 'toy' takes"),
        ({"decoder_use_norm": "magic"}, "unknown norm 'magic'; expected True, False, a dict, or one of batchnorm"),
        ({"activation": ["relu"]}, "expected a str, a callable or None as activation, got list: ['relu']"),
        ({"aux_params": {"colour": 1}}, "aux_params: unknown key 'colour'; expected 'classes'"),
    ],
)
def test_a_config_that_cannot_be_built(saved: Path, values: dict[str, Any], reason: str) -> None:
    edit(saved, lambda config: config.update(values))
    assert_refused(saved, f"config.json in {str(saved)!r} asks for what cannot be built: {reason}")


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x00\x00\x00\x00\x00\x00\x00{}", b"PK\x03\x04"])
def test_damaged_weights(saved: Path, content: bytes) -> None:
    (saved / "model.safetensors").write_bytes(content)
    path = str(saved / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=rf"^({re.escape(repr(path))} is damaged: |model\.safetensors in .* does not)"
    ):
        smp_core.from_pretrained(saved)


def test_truncated_weights(saved: Path) -> None:
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert_refused(saved, f"{str(path)!r} is damaged: ")


def test_a_pickle_is_not_read(saved: Path) -> None:
    path = saved / "model.safetensors"
    torch.save(load_file(path), saved / "pytorch_model.bin")
    path.unlink()
    assert_refused(saved, f"no model.safetensors in {str(saved)!r}: not a saved model")


def test_weights_of_another_model(saved: Path) -> None:
    path = saved / "model.safetensors"
    tensors = load_file(path)
    del tensors["encoder.stage2.0.weight"]
    tensors["decoder.extra"] = torch.zeros(1)
    tensors["segmentation_head.0.bias"] = torch.zeros(7)
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"^model\.safetensors in .* does not fit its config\.json: ") as caught:
        smp_core.from_pretrained(saved)
    for part in (
        'Missing key(s) in state_dict: "encoder.stage2.0.weight"',
        'Unexpected key(s) in state_dict: "decoder.extra"',
        "size mismatch for segmentation_head.0.bias",
    ):
        assert part in str(caught.value)


# --- plugins


def test_a_plugin_that_is_not_installed(saved: Path, monkeypatch) -> None:
    toy = registry._registry.loaded
    monkeypatch.setattr(registry, "_registry", registry.Registry([]))
    message = (
        "this model was saved with 'acme-smp-toy/toy' of 'acme-smp-toy' 1.2.3: architecture 'acme-smp-toy/toy': "
        "no plugin of the distribution 'acme-smp-toy' is installed; run: pip install acme-smp-toy"
        " if you trust its author: the name is the file's, and installing a distribution runs its code"
    )
    # One error says all that is missing.
    also = message.replace("acme-smp-toy/toy", "acme-smp-toy/toy_encoder").replace("architecture", "encoder")
    assert_refused(saved, f"{message}\n{also}", MissingPluginError)
    monkeypatch.setattr(registry, "_registry", registry.Registry(toy))
    edit(
        saved,
        lambda config: config["_smp_core"]["encoder"].update(
            {"name": "acme-smp-vit/vit", "distribution": "Acme.SMP-vit", "version": "0.3"}
        ),
    )
    message = (
        "this model was saved with 'acme-smp-vit/vit' of 'Acme.SMP-vit' 0.3: encoder 'acme-smp-vit/vit': no plugin "
        "of the distribution 'acme-smp-vit' is installed; run: pip install acme-smp-vit"
        " if you trust its author: the name is the file's, and installing a distribution runs its code"
    )
    assert_refused(saved, message, MissingPluginError)


def test_a_plugin_that_is_disabled(saved: Path, monkeypatch) -> None:
    """Nothing is advised to be installed, nor whom to trust: it is there."""
    record = replace(registry._registry.loaded[0].record, status="disabled", error="disabled by SMP_DISABLE_PLUGINS")
    monkeypatch.setattr(registry, "_registry", registry.Registry([LoadedPlugin(record=record)]))
    unusable = "acme-smp-toy is installed, but unusable: disabled by SMP_DISABLE_PLUGINS"
    was = "this model was saved with 'acme-smp-toy/{0}' of 'acme-smp-toy' 1.2.3: {1} 'acme-smp-toy/{0}'"
    parts = (("toy", "architecture"), ("toy_encoder", "encoder"))
    message = "\n".join(f"{was.format(*part)}: {unusable}" for part in parts)
    assert_refused(saved, message, MissingPluginError)


def test_a_known_encoder_of_a_distribution_that_only_the_file_names(saved: Path) -> None:
    edit(
        saved,
        lambda config: config["_smp_core"]["encoder"].update(name="evil-package/resnet18", distribution="evil-package"),
    )
    message = (
        "this model was saved with 'evil-package/resnet18' of 'evil-package' 1.2.3: encoder "
        "'evil-package/resnet18': no plugin of the distribution 'evil-package' is installed; run: pip install "
        "evil-package if you trust its author: "
    )
    assert_refused(saved, message, MissingPluginError)


@pytest.mark.parametrize(
    ("key", "value", "record"),
    [
        ("encoder_name", "resnet50", "'toy_encoder' as the encoder"),
        ("encoder_name", ["a"], "'toy_encoder' as the encoder"),
        ("_model_class", "Unet", "'toy' as the architecture"),
    ],
)
def test_names_that_contradict_the_record(saved: Path, key: str, value: object, record: str) -> None:
    """SMP would build another model of such a config."""
    edit(saved, lambda config: config.update({key: value}))
    where = repr(str(saved / "config.json"))
    assert_refused(saved, f"{where} contradicts itself: {key} is {value!r}, '_smp_core' records {record}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "xx"}, "device: expected a torch.device or its name, got 'xx': "),
        (
            {"map_location": lambda storage, _: storage},
            "map_location: expected a torch.device or its name, got <f",
        ),
        ({"device": "cpu", "map_location": "meta"}, "device='cpu' and map_location='meta' name two devices; give one"),
    ],
)
def test_a_device_that_is_none(saved: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}"):
        smp_core.from_pretrained(saved, **options)
    smp_core.from_pretrained(saved, device="cpu", map_location=torch.device("cpu"))


def test_a_name_that_is_too_long(saved: Path, toys) -> None:
    long = "x" * 300
    assert_refused(long, f"{long!r} cannot be read: File name too long")
    with pytest.raises(OptionError, match=r"^encoder_weights='x+.* cannot be read: File name too long$"):
        smp_core.create("toy", "toy_encoder", encoder_weights=f"{long}.pth")


def test_a_plugin_that_is_too_old(saved: Path) -> None:
    edit(saved, lambda config: config["_smp_core"]["encoder"].update(name="acme-smp-toy/toy_v2", version="2.0"))
    message = (
        "this model was saved with 'acme-smp-toy/toy_v2' of 'acme-smp-toy' 2.0: encoder 'acme-smp-toy/toy_v2': "
        "acme-smp-toy 1.2.3 does not provide it; it provides toy_encoder\n"
        "Perhaps a newer version does: pip install -U acme-smp-toy"
    )
    assert_refused(saved, message, UnknownEncoderError)


def test_a_model_of_smp_whose_plugins_are_not_installed(saved: Path) -> None:
    edit(saved, lambda config: config.update(_model_class="Unet", _smp_core=None))
    message = "architecture 'unet' is provided by smp-unet, which is not installed; run: pip install smp-unet"
    assert_refused(saved, message, MissingPluginError)
    edit(saved, lambda config: config.update(_model_class="Toy", encoder_name="resnet34"))
    message = "encoder 'resnet34' is provided by smp-resnet, which is not installed; run: pip install smp-resnet"
    assert_refused(saved, message, MissingPluginError)
    edit(saved, lambda config: config.update(_model_class="ToyPlusPlus"))
    assert_refused(saved, "unknown architecture 'toyplusplus'; ", UnknownArchitectureError)


def test_a_class_name_of_several_plugins(saved: Path, toys) -> None:
    toys(encoder_spec(), architecture_spec(name="other"), distribution="acme-smp-other")
    smp_core.from_pretrained(saved)
    edit(saved, lambda config: config.pop("_smp_core"))
    message = "model class 'Toy' is provided by several plugins: acme-smp-toy/toy, acme-smp-other/other"
    assert_refused(saved, message, NameConflictError)


@pytest.mark.parametrize("where", ["architecture", "encoder"])
@pytest.mark.parametrize("name", ["os:system", "os/system", "../../evil", "evil_module", "toy_models:ToyModel", 3])
def test_nothing_that_a_file_names_is_imported(saved: Path, tmp_path: Path, monkeypatch, where: str, name: Any) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('the file chose what to import')")
    monkeypatch.syspath_prepend(tmp_path)
    edit(saved, lambda config: config["_smp_core"][where].update(name=name))
    with pytest.raises((smp_core.errors.RegistryError, CheckpointError), match=re.escape(repr(name))):
        smp_core.from_pretrained(saved)


@pytest.mark.parametrize("name", ["os.system", "../Toy", "toy_models:ToyModel", "builtins.dict"])
def test_a_class_name_is_looked_up_among_plugins(saved: Path, name: str) -> None:
    edit(saved, lambda config: config.update(_model_class=name, _smp_core=None))
    assert_refused(saved, f"unknown architecture {name.lower()!r}", UnknownArchitectureError)


class LooksIntoItsTensors(ToyModel):
    """Cannot be built without any memory: what it computes must have values."""

    def __init__(
        self, encoder: nn.Module, *, width: int = 8, classes: int = 1, activation: Any = None, aux_params: Any = None
    ) -> None:
        super().__init__(encoder, width=width, classes=classes)
        self.rates = torch.linspace(0, 1, 3).tolist()


def test_shapes_are_compared_before_memory_is_taken(install, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(toy_models, "LooksIntoItsTensors", LooksIntoItsTensors, raising=False)
    install(encoder_spec(), architecture_spec(target="toy_models:LooksIntoItsTensors"))
    saved = smp_core.create("toy", "toy_encoder", encoder_weights=None).save_pretrained(tmp_path / "model")
    assert smp_core.from_pretrained(saved).rates == [0, 0.5, 1]
    edit(saved, lambda config: config.update(width=1_000_000, classes=20))  # 720 MB of the head alone
    with memory_limit(300_000_000):
        assert_refused(saved, f"model.safetensors in {str(saved)!r} does not fit its config.json: size mismatch for ")
