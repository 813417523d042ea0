"""What saving offers besides: the card, shards, other formats, uploading; and bare weight files read back."""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from toy_models import assert_same, randomise

import smp_core
from smp_core.errors import CheckpointError, OptionError
from smp_core.inputs import Preprocessing


@pytest.fixture
def model(toys) -> smp_core.SegmentationModel:
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None, classes=3)
    randomise(model)
    return model


# --- the card


def test_the_card(model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, dataset="my scans, 2024", metrics={"IoU": 0.81, "classes": "all"})
    card = (tmp_path / "README.md").read_text()
    for part in (
        "library_name: smp-core",
        "# Toy over toy_encoder",
        "pip install acme-smp-toy smp-core",
        'model = smp_core.from_pretrained("<this folder or repository>")',
        "## Dataset\n\nmy scans, 2024\n",
        "## Metrics\n\n- IoU: 0.81\n- classes: all\n",
        "- architecture `toy`: unknown\n- encoder `toy_encoder`: unknown\n",
    ):
        assert part in card
    model.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text().count("Not recorded.") == 2


# --- shards


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_shards(model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, max_shard_size=4000)
    shards = [name for name in files(tmp_path) if re.fullmatch(r"model-\d{5}-of-\d{5}\.safetensors", name)]
    assert len(shards) > 1
    assert files(tmp_path) == ["README.md", "config.json", *shards, "model.safetensors.index.json"]
    assert_same(smp_core.from_pretrained(tmp_path), model)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(model.state_dict())
    model.save_pretrained(tmp_path)
    assert files(tmp_path) == ["README.md", "config.json", "model.safetensors"]
    assert_same(smp_core.from_pretrained(tmp_path), model)
    model.save_pretrained(tmp_path, max_shard_size="1GB")
    assert files(tmp_path) == ["README.md", "config.json", "model.safetensors"]


def test_a_missing_shard(model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, max_shard_size=4000)
    (shard, *_) = tmp_path.glob("model-00002-*")
    shard.unlink()
    with pytest.raises(
        CheckpointError, match=f"^no {shard.name} in {re.escape(repr(str(tmp_path)))}: not a saved model$"
    ):
        smp_core.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        (None, "is damaged: 'weight_map' must map parameters to file names"),
        ({}, "is damaged: 'weight_map' must map parameters to file names"),
        ({"a": 3}, "is damaged: 'weight_map' must map parameters to file names"),
        ({"a": "../../secret.safetensors"}, "names files that are no .safetensors files beside it: '../../secret"),
        ({"a": "/etc/passwd"}, "names files that are no .safetensors files beside it: '/etc/passwd'"),
        ({"a": "weights.bin"}, "names files that are no .safetensors files beside it: 'weights.bin'"),
    ],
)
def test_an_index_of_something_else(model, tmp_path: Path, weight_map: Any, message: str) -> None:
    model.save_pretrained(tmp_path, max_shard_size=4000)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match=f"^{re.escape(repr(str(index)))} {re.escape(message)}"):
        smp_core.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "onnx"}, "unknown format 'onnx'; expected 'smp_core' or 'smp'"),
        ({"max_shard_size": "much"}, "max_shard_size='much': expected bytes, or a size as '5GB'"),
        ({"max_shard_size": "infGB"}, "max_shard_size='infGB': expected bytes, or a size as '5GB'"),
        ({"max_shard_size": "-5MB"}, "max_shard_size='-5MB': expected bytes, or a size as '5GB'"),
        ({"max_shard_size": b"5GB"}, "max_shard_size=b'5GB': expected bytes, or a size as '5GB'"),
        ({"max_shard_size": float("nan")}, "max_shard_size=nan: expected bytes, or a size as '5GB'"),
        ({"max_shard_size": 0}, "max_shard_size=0: expected bytes, or a size as '5GB'"),
        ({"dataset": 5}, "dataset must be text, got 5"),
        ({"dataset": "\ud800"}, "dataset and metrics must be text that can be written as UTF-8: "),
        ({"metrics": {"\ud800": 1}}, "dataset and metrics must be text that can be written as UTF-8: "),
        ({"metrics": 3}, "metrics must be a dict of names and values, got 3"),
        ({"max_shard_size": "1GB", "format": "smp"}, "format='smp' is one file: segmentation_models_pytorch reads no"),
    ],
)
def test_options_that_do_not_exist(model, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}"):
        model.save_pretrained(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("folder", [None, 3, [], "out\0"])
def test_a_folder_that_is_none(model, folder: Any) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(f'folder must be a path, got {folder!r}')}$"):
        model.save_pretrained(folder)


def test_a_folder_whose_name_is_not_utf_8(model, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(OptionError, match=r"^folder must have a name that is UTF-8, as safetensors asks for"):
        model.save_pretrained(folder)
    assert not folder.exists()


def test_preprocessing_set_as_a_dict(model, tmp_path: Path) -> None:
    model.preprocessing = {"mean": [0.5] * 3, "std": [0.1] * 3, "input_space": "RGB", "input_range": [0, 1]}
    model.save_pretrained(tmp_path / "out")
    assert smp_core.from_pretrained(tmp_path / "out").preprocessing == Preprocessing(mean=(0.5,) * 3, std=(0.1,) * 3)
    model.preprocessing = 3
    with pytest.raises(OptionError, match=r"^preprocessing=3: expected a smp_core\.inputs\.Preprocessing, or a"):
        model.save_pretrained(tmp_path / "out")


# --- bare files


def wrapped(model: nn.Module, prefix: str) -> dict[str, Any]:
    return {f"{prefix}{name}": tensor for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "net.", "_orig_mod.", "model.module.", "module._orig_mod.net.", "segmentor."]
)
@pytest.mark.parametrize("container", ["", "state_dict", "model", "model_state_dict", "state_dict_ema"])
def test_a_bare_state_dict(model, tmp_path: Path, prefix: str, container: str) -> None:
    state_dict = wrapped(model, prefix)
    torch.save({container: state_dict, "epoch": 9} if container else state_dict, tmp_path / "epoch=9.ckpt")
    assert_same(smp_core.from_pretrained(tmp_path / "epoch=9.ckpt", blueprint=model.blueprint), model)
    encoder = smp_core.create_encoder("toy_encoder", depth=3, weights=tmp_path / "epoch=9.ckpt")
    assert_same(encoder, model.encoder)


class Callback:
    """Something of a training program's own."""

    def __init__(self) -> None:
        self.best = torch.ones(3)


def test_a_lightning_checkpoint(model, tmp_path: Path) -> None:
    content = {
        "epoch": 9,
        "state_dict": {**wrapped(model, "model."), "criterion.weight": torch.ones(3)},
        "hyper_parameters": argparse.Namespace(lr=0.1),
        "callbacks": {"best": Callback()},
        "optimizer_states": [{"state": {0: {"momentum": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}],
    }
    path = tmp_path / "epoch=9.ckpt"
    torch.save(content, path)
    with pytest.warns(UserWarning, match="left out: ") as caught:
        loaded = smp_core.from_pretrained(path, blueprint=model.blueprint)
    assert_same(loaded, model)
    assert [item.filename for item in caught] == [__file__] * 2
    first, second = (str(item.message) for item in caught)
    assert first.startswith(f"{str(path)!r} also holds objects that only running its code could read; ")
    assert re.search(r"these were left out: argparse\.Namespace, [\w.]*test_saving_options\.Callback$", first)
    assert second == (
        f"{str(path)!r} holds the model under 'model.'; what lies beside it was left out: \"criterion.weight\""
    )
    with pytest.warns(UserWarning, match="also holds objects that only running its code could read"):
        encoder = smp_core.create_encoder("toy_encoder", depth=3, weights=path)
    assert_same(encoder, model.encoder)


def test_a_safetensors_file_and_a_folder_without_config(model, tmp_path: Path) -> None:
    save_file(wrapped(model, "module."), tmp_path / "model.safetensors")
    for source in (tmp_path / "model.safetensors", tmp_path):
        assert_same(smp_core.from_pretrained(source, blueprint=model.blueprint), model)


def test_a_folder_whose_keys_are_wrapped(model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    save_file(wrapped(model, "model.module."), tmp_path / "model.safetensors")
    assert_same(smp_core.from_pretrained(tmp_path), model)


def test_a_bare_file_of_another_model(model, tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    message = f"other.pth in {str(tmp_path / 'other.pth')!r} does not fit the blueprint: Missing key(s) in state_dict: "
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}") as caught:
        smp_core.from_pretrained(tmp_path / "other.pth", blueprint=model.blueprint)
    assert 'Unexpected key(s) in state_dict: "conv.weight".' in str(caught.value)


def test_a_bare_file_needs_a_blueprint(model, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "epoch=9.ckpt")
    message = "epoch=9.ckpt' is a file, which does not say which model it holds; pass blueprint="
    with pytest.raises(CheckpointError, match=re.escape(message)):
        smp_core.from_pretrained(tmp_path / "epoch=9.ckpt")


@pytest.mark.parametrize("content", [b"", b"no weights"])
def test_a_damaged_bare_file(model, tmp_path: Path, content: bytes) -> None:
    for name in ("model.ckpt", "other.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=f"{re.escape(str(tmp_path / name))}"):
            smp_core.from_pretrained(tmp_path / name, blueprint=model.blueprint)
