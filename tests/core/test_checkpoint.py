"""Saving and loading: what is written, what comes back, and that loading is quick, offline and leaves files alone."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from toy_models import ToyEncoder, ToyModel, architecture_spec, encoder_spec, randomise

import smp_core
from smp_core.errors import CheckpointError
from smp_core.inputs import Preprocessing
from smp_core.sources.weights import Chosen
from smp_core.tensors import saving

_PREPROCESSING = Preprocessing(mean=(0.5, 0.25, 0.75), std=(0.1, 0.2, 0.3), input_space="BGR", input_range=(0.0, 255.0))


def build(encoder: Any = "toy_encoder", seed: int = 0, **options: Any) -> smp_core.SegmentationModel:
    model = smp_core.create("toy", encoder, encoder_weights=None, **options)
    randomise(model, seed)
    return model


def image(channels: int = 3) -> Tensor:
    return torch.rand(1, channels, 13, 9, generator=torch.Generator().manual_seed(1))


def assert_same(model: nn.Module, other: nn.Module) -> None:
    first, second = model.state_dict(), other.state_dict()
    assert list(first) == list(second)
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert torch.equal(tensor, second[name]), name


@pytest.mark.usefixtures("toys")
def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    model = build(classes=3, in_channels=4, width=5, decoder_use_norm="layernorm", aux_params={"classes": 2})
    model.preprocessing = _PREPROCESSING
    assert model.save_pretrained(tmp_path / "deep" / "er") == tmp_path / "deep" / "er"
    for source in (tmp_path / "deep" / "er", str(tmp_path / "deep" / "er")):
        loaded = smp_core.from_pretrained(source)
        assert isinstance(loaded, ToyModel)
        assert_same(loaded, model)
        assert loaded.config == model.config
        assert loaded.preprocessing == _PREPROCESSING
        assert not any(module.training for module in loaded.modules())
        for ours, theirs in zip(loaded.predict(image(4)), model.predict(image(4)), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.usefixtures("toys")
def test_what_is_written(tmp_path: Path) -> None:
    model = build(classes=2, activation="sigmoid")
    model.preprocessing = _PREPROCESSING
    model.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((tmp_path / "config.json").read_text())
    identity = config["_smp_core"].pop("identity")
    assert config == json.loads(json.dumps(model.config))
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "smp_core.identity": identity}
        assert sorted(file.keys()) == sorted(model.state_dict())
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: smp-core\npipeline_tag: image-segmentation\n")
    for line in (
        "# Toy over toy_encoder",
        "pip install acme-smp-toy smp-core",
        "mask = model.predict(image)  # (N, 3, H, W) -> (N, 2, H, W)",
        "- mean: `[0.5, 0.25, 0.75]`",
        "- input_space: `BGR`",
        "- activation: `sigmoid`",
    ):
        assert f"\n{line}\n" in card
    umask = os.umask(0)
    os.umask(umask)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o666 & ~umask}


@pytest.mark.usefixtures("toys")
def test_a_card_without_preprocessing(tmp_path: Path) -> None:
    card = (build(encoder=ToyEncoder()).save_pretrained(tmp_path) / "README.md").read_text()
    assert "\n# Toy over a custom encoder\n" in card
    assert "\nNot recorded: prepare images as they were prepared in training.\n" in card


def test_a_config_without_anything_of_ours(toys, tmp_path: Path) -> None:
    """As SMP writes it; the class name is looked up among the architectures that are installed."""
    model = build(classes=2)
    model.save_pretrained(tmp_path)
    config = {key: value for key, value in model.config.items() if key != "_smp_core"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert_same(smp_core.from_pretrained(tmp_path), model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.usefixtures("toys")
def test_a_model_of_another_dtype(tmp_path: Path, dtype: torch.dtype) -> None:
    model = build().to(dtype)
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.get_tensor("segmentation_head.0.weight").dtype == dtype
    assert_same(smp_core.from_pretrained(tmp_path), model.float())


@pytest.mark.usefixtures("toys")
def test_saving_leaves_the_model_alone(tmp_path: Path) -> None:
    model = build()
    model.freeze_encoder()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flags = [module.training for module in model.modules()]
    model.save_pretrained(tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == flags


@pytest.mark.usefixtures("toys")
def test_a_loaded_model_trains(tmp_path: Path) -> None:
    """Its parameters may be mapped from the file; the file must not notice."""
    build().save_pretrained(tmp_path)
    content = (tmp_path / "model.safetensors").read_bytes()
    model = smp_core.from_pretrained(tmp_path).train()
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in model.parameters())
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.rand(4, 3, 16, 16)).sum().backward()
    optimiser.step()
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert (tmp_path / "model.safetensors").read_bytes() == content


@pytest.mark.usefixtures("toys")
def test_loading_is_offline(tmp_path: Path, offline: list[str]) -> None:
    model = build()
    model._blueprint = replace(model.blueprint, weights=Chosen("imagenet"))  # as if it had started from these
    model.save_pretrained(tmp_path)
    loaded = smp_core.from_pretrained(tmp_path)
    assert (loaded.config["encoder_weights"], offline) == ("imagenet", [])


@pytest.mark.usefixtures("toys")
def test_nothing_is_initialised_only_to_be_overwritten(tmp_path: Path, monkeypatch) -> None:
    build(aux_params={"classes": 2}).save_pretrained(tmp_path)
    devices: list[str] = []
    for name in ("kaiming_uniform_", "xavier_uniform_", "uniform_", "ones_", "zeros_"):
        real = getattr(nn.init, name)

        def spy(tensor: Tensor, *arguments: Any, _real: Any = real, **keywords: Any) -> Tensor:
            devices.append(tensor.device.type)
            return _real(tensor, *arguments, **keywords)

        monkeypatch.setattr(nn.init, name, spy)
    smp_core.from_pretrained(tmp_path)
    assert set(devices) == {"meta"}


_UNUSUAL = {
    "a buffer that no state dict holds": "self.register_buffer('scale', torch.full((1,), 3.0), persistent=False)",
    "a tensor as plain attribute": "self.scale = torch.full((1,), 3.0)",
    "tensors in a list": "self.scale = [torch.full((1,), 3.0)]",
    "a constant of its module": "self.scale = CONSTANT",
    "a value computed by tensors": "self.scale = torch.linspace(0, 3, 4).tolist()[-1]",
}


@pytest.mark.parametrize("statement", _UNUSUAL.values(), ids=_UNUSUAL.keys())
def test_a_model_with_more_than_its_state_dict(install, tmp_path: Path, monkeypatch, statement: str) -> None:
    """Built without values first, such a model would lack what only its own initialisation makes."""
    source = f"""
import torch
from toy_models import ToyModel

CONSTANT = torch.full((1,), 3.0)

class Model(ToyModel):
    def __init__(self, encoder, *, classes=1, activation=None, aux_params=None):
        super().__init__(encoder, classes=classes)
        {statement}

    def forward(self, x):
        return super().forward(x) * (self.scale[0] if isinstance(self.scale, list) else self.scale)
"""
    (tmp_path / "acme_unusual.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_unusual", raising=False)
    install(encoder_spec(), architecture_spec(target="acme_unusual:Model"))
    model = build()
    model.save_pretrained(tmp_path / "out")
    del sys.modules["acme_unusual"]  # as in another process
    loaded = smp_core.from_pretrained(tmp_path / "out")
    assert type(loaded) is not type(model)
    assert torch.equal(loaded.predict(image()), model.predict(image()))


class Tied(ToyModel):
    """Two names for one parameter."""

    def __init__(self, encoder: nn.Module, *, classes: int = 1, activation: Any = None, aux_params: Any = None) -> None:
        super().__init__(encoder, classes=classes)
        self.decoder.same = self.decoder.conv[0]


def test_tied_parameters(install, tmp_path: Path, monkeypatch) -> None:
    import toy_models

    monkeypatch.setattr(toy_models, "Tied", Tied, raising=False)
    install(encoder_spec(), architecture_spec(target="toy_models:Tied"))
    model = build()
    model.save_pretrained(tmp_path)
    loaded = smp_core.from_pretrained(tmp_path)
    assert_same(loaded, model)
    assert torch.equal(loaded.decoder.same.weight, loaded.decoder.conv[0].weight)


# --- a folder in use


@pytest.mark.usefixtures("toys")
def test_a_folder_that_a_live_model_was_loaded_from_can_be_overwritten(tmp_path: Path) -> None:
    first, second = build(seed=1), build(seed=2)
    first.save_pretrained(tmp_path)
    live = smp_core.from_pretrained(tmp_path)
    expected = live.predict(image()).clone()
    second.save_pretrained(tmp_path)
    assert_same(live, first)
    assert torch.equal(live.predict(image()), expected)
    assert_same(smp_core.from_pretrained(tmp_path), second)
    live.save_pretrained(tmp_path)
    live.save_pretrained(tmp_path)
    assert_same(smp_core.from_pretrained(tmp_path), first)


@pytest.mark.usefixtures("toys")
def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch) -> None:
    first = build(seed=1)
    first.save_pretrained(tmp_path)

    def full(_: Any, path: Path, **__: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(saving, "save_file", full)
    with pytest.raises(CheckpointError, match=r"which is as it was: OSError: no space left on device$"):
        build(seed=2).save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert_same(smp_core.from_pretrained(tmp_path), first)


# --- models that are not rebuilt from names alone


@pytest.mark.usefixtures("toys")
def test_a_model_over_a_module(tmp_path: Path) -> None:
    model = build(encoder=ToyEncoder(in_channels=2, depth=2), classes=2)
    model.save_pretrained(tmp_path)
    message = "this model was created over a module, not a named encoder: pass it as encoder="
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        smp_core.from_pretrained(tmp_path)
    loaded = smp_core.from_pretrained(tmp_path, encoder=ToyEncoder(in_channels=2, depth=2))
    assert_same(loaded, model)
    assert torch.equal(loaded.predict(image(2)), model.predict(image(2)))
    with pytest.raises(CheckpointError, match=r"model\.safetensors in .* does not fit its config\.json: "):
        smp_core.from_pretrained(tmp_path, encoder=ToyEncoder(in_channels=2, depth=1))


@pytest.mark.usefixtures("toys")
def test_a_model_that_create_did_not_build(tmp_path: Path) -> None:
    message = "this ToyModel was not built by smp_core.create, so its config is unknown and nothing could load it back"
    with pytest.raises(CheckpointError, match=f"^{message}"):
        ToyModel(ToyEncoder()).save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("toys")
def test_a_callable_cannot_be_written(tmp_path: Path) -> None:
    model = build(activation=torch.tanh, aux_params={"classes": 2, "activation": nn.Sigmoid})
    with pytest.warns(UserWarning, match="the loaded model will have activation=None") as caught:
        model.save_pretrained(tmp_path)
    assert [item.filename for item in caught] == [__file__] * 2
    assert [str(item.message).split(" cannot be written to config.json, only names can; ")[0] for item in caught] == [
        f"activation={torch.tanh!r}",
        f"activation={nn.Sigmoid!r}",
    ]
    loaded = smp_core.from_pretrained(tmp_path)
    assert loaded.config["activation"] is loaded.config["aux_params"]["activation"] is None


@pytest.mark.usefixtures("toys")
def test_an_option_that_is_no_json(tmp_path: Path) -> None:
    model = build()
    model._blueprint = replace(model.blueprint, options={**model.blueprint.options, "size_multiple": Decimal(1)})
    message = (
        "an option of this model cannot be written to config.json: Object of type Decimal is not JSON serializable"
    )
    with pytest.raises(CheckpointError, match=f"^{message}"):
        model.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_plugins_are_told_of_a_loaded_model(toys, calls, tmp_path: Path) -> None:
    build(classes=2).save_pretrained(tmp_path)
    toys(distribution="acme-smp-listener", created=lambda model, config: calls.seen.append((model, config["classes"])))
    assert calls.seen == []
    loaded = smp_core.from_pretrained(tmp_path)
    assert calls.seen == [(loaded, 2)]
    calls.seen.clear()
    build(encoder=ToyEncoder()).save_pretrained(tmp_path)
    calls.seen.clear()
    smp_core.from_pretrained(tmp_path, encoder=ToyEncoder())
    assert len(calls.seen) == 1
