"""Saved models and weight files that are odd in a way that somebody met: the right model, or the reason why not."""

from __future__ import annotations

import json
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from toy_models import ToyEncoder, architecture_spec, assert_same, encoder_spec, randomise

import smp_core
from smp_core.errors import CheckpointError, OptionError
from smp_core.inputs import Preprocessing
from smp_core.plugin import Migration
from smp_core.tensors import replacing


@pytest.fixture
def model(toys) -> smp_core.SegmentationModel:
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None, classes=3)
    randomise(model)
    return model


def edit(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


# --- configs


@pytest.mark.parametrize(("name", "value"), [("encoder_output_stride", 16), ("encoder_output_indices", [1, 2])])
def test_what_an_architecture_does_not_take_of_the_encoder(model, tmp_path: Path, name: str, value: Any) -> None:
    model.save_pretrained(tmp_path)
    edit(tmp_path, **{name: value})
    message = f"the saved model's config has {name}={value!r}, which it does not use; it is ignored"
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        assert_same(smp_core.from_pretrained(tmp_path), model)
    edit(tmp_path, **{name: None})
    smp_core.from_pretrained(tmp_path)


def test_a_config_that_asks_for_more_than_there_can_be(model, tmp_path: Path) -> None:
    """Whatever cannot be built without memory is not built with it."""
    model.save_pretrained(tmp_path)
    edit(tmp_path, width=2**62)
    with pytest.raises((CheckpointError, RuntimeError)):
        smp_core.from_pretrained(tmp_path)


# --- migrations of wrapped files


def negate(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Changes the tensors in place, as it should not; and knows its keys."""
    state_dict["decoder.conv.0.weight"].neg_()
    return state_dict


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_a_migration_sees_the_model_once_and_without_wrappers(
    install, tmp_path: Path, monkeypatch, prefix: str
) -> None:
    import toy_models

    monkeypatch.setattr(toy_models, "negate", negate, raising=False)
    install(encoder_spec())
    install(architecture_spec(), distribution="acme-smp-arch", version="1.0")
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None)
    randomise(model)
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    save_file({f"{prefix}{key}": tensor for key, tensor in tensors.items()}, tmp_path / "model.safetensors")
    migration = Migration(before="2.0", convert="toy_models:negate")
    install(architecture_spec(name="other", class_name="Other", migrations=(migration,)), distribution="acme-smp-two")
    edit(
        tmp_path,
        _model_class="Other",
        _smp_core={
            "architecture": {"name": "acme-smp-two/other", "distribution": "acme-smp-two", "version": "1.0"},
            "encoder": {"name": "acme-smp-toy/toy_encoder", "distribution": "acme-smp-toy", "version": "1.2.3"},
        },
    )
    loaded = smp_core.from_pretrained(tmp_path).state_dict()
    assert torch.equal(loaded.pop("decoder.conv.0.weight"), -tensors.pop("decoder.conv.0.weight"))
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in loaded.items())


# --- bare files


def test_averaged_weights_under_a_prefix(model, tmp_path: Path) -> None:
    raw = {f"model.{key}": torch.zeros_like(tensor) for key, tensor in model.state_dict().items()}
    averaged = {f"ema_model.module.{key}": tensor for key, tensor in model.state_dict().items()}
    torch.save({"state_dict": {**raw, **averaged}}, tmp_path / "ema.ckpt")
    with pytest.warns(UserWarning, match="holds the model under 'ema_model.module.'"):
        assert_same(smp_core.from_pretrained(tmp_path / "ema.ckpt", blueprint=model.blueprint), model)
    assert_same(smp_core.create_encoder("toy_encoder", depth=3, weights=tmp_path / "ema.ckpt"), model.encoder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.to("meta"), "segmentation_head.0.weight is stored as a meta tensor; expected values"),
        (
            lambda tensor: tensor.to_sparse(),
            "segmentation_head.0.weight is stored as a torch.sparse_coo tensor; expected",
        ),
        (
            lambda tensor: torch.nested.nested_tensor([tensor, tensor]),
            "segmentation_head.0.weight is stored as a nested tensor; expected values",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_tensors_without_plain_values(model, tmp_path: Path, change: Any, message: str) -> None:
    tensors = dict(model.state_dict())
    tensors["segmentation_head.0.weight"] = change(tensors["segmentation_head.0.weight"])
    torch.save(tensors, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}"):
        smp_core.from_pretrained(tmp_path / "odd.pth", blueprint=model.blueprint)


def test_tensors_that_share_memory_are_trained_apart(model, tmp_path: Path) -> None:
    tensors = dict(model.state_dict())
    tensors["decoder.conv.1.weight"] = tensors["decoder.conv.1.bias"] = torch.ones(8)
    tensors["segmentation_head.0.bias"] = torch.ones(1).expand(3)
    torch.save(tensors, tmp_path / "shared.pth")
    loaded = smp_core.from_pretrained(tmp_path / "shared.pth", blueprint=model.blueprint).train()
    optimiser = torch.optim.SGD(loaded.parameters(), lr=0.1)
    loaded(torch.rand(2, 3, 16, 16)).square().sum().backward()
    optimiser.step()
    assert not torch.equal(loaded.decoder.conv[1].weight, loaded.decoder.conv[1].bias)


def test_buffers_that_ask_for_a_gradient(model, tmp_path: Path) -> None:
    """As a torch file can hold them: batch norm takes no statistics that do."""
    state = {
        key: tensor.clone().requires_grad_(tensor.is_floating_point()) for key, tensor in model.state_dict().items()
    }
    torch.save(state, tmp_path / "w.pth")
    loaded = smp_core.from_pretrained(tmp_path / "w.pth", blueprint=model.blueprint)
    assert_same(loaded, model)
    assert not any(buffer.requires_grad for buffer in loaded.buffers())
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in loaded.parameters())


def test_reading_from_several_threads_leaves_warnings_alone(model, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "x.pth")
    before = list(warnings.filters)

    def read() -> None:
        for _ in range(5):
            smp_core.from_pretrained(tmp_path / "x.pth", blueprint=model.blueprint)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_a_file_that_is_not_there(model) -> None:
    with pytest.raises(CheckpointError, match=r"^no such file: 'runs/nope\.ckpt'$"):
        smp_core.from_pretrained("runs/nope.ckpt", blueprint=model.blueprint)


# --- arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blueprint": {}}, "blueprint: expected a smp_core.Blueprint, got dict"),
        ({"dtype": torch.int8}, "dtype: expected a floating-point torch.dtype, got torch.int8"),
        ({"dtype": "float16"}, "dtype: expected a floating-point torch.dtype, got 'float16'"),
        ({"channel_fitting": "zzz"}, "unknown channel_fitting 'zzz'; expected one of smp, mean_preserving"),
        ({"preprocessing": {"mean": [1]}}, "preprocessing={'mean': [1]}: expected a smp_core.inputs.Preprocessing"),
    ],
)
def test_arguments_of_the_wrong_kind(model, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    model.save_pretrained(tmp_path)
    with pytest.raises(OptionError, match=f"^{re.escape(message)}"):
        smp_core.from_pretrained(tmp_path, **options)


def test_preprocessing_is_changed_as_it_is_given(model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    own = Preprocessing(mean=[0.1] * 3, std=[1, 1, 1])  # type: ignore[arg-type]
    assert own.mean == (0.1, 0.1, 0.1)
    assert smp_core.from_pretrained(tmp_path, preprocessing=own.to_dict()).preprocessing == own


def test_an_encoder_is_given_where_none_is_named(model, tmp_path: Path) -> None:
    blueprint = model.blueprint
    message = "this blueprint names its encoder, which encoder= cannot change; make another blueprint"
    for call in (
        lambda: blueprint.changed(encoder="resnet34"),
        lambda: smp_core.build(blueprint, encoder=ToyEncoder()),
    ):
        with pytest.raises(OptionError, match=f"^{message}$"):
            call()
    over = smp_core.create("toy", ToyEncoder(depth=3), classes=2).blueprint
    message = "this model is over a module, not a named encoder: pass the built module as encoder=, got None"
    for call in (lambda: over.changed(classes=3), lambda: smp_core.build(over)):
        with pytest.raises(OptionError, match=f"^{message}$"):
            call()
    assert smp_core.build(over, encoder=ToyEncoder(depth=3)).blueprint == over


# --- saving


def test_a_save_that_fails_at_the_end_leaves_the_old_model(model, tmp_path: Path, monkeypatch) -> None:
    model.save_pretrained(tmp_path)
    other = smp_core.create("toy", "toy_encoder", encoder_weights=None, classes=5)
    replaced: list[Path] = []
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        replaced.append(target)
        if len(replaced) == 2:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(replacing.Path, "replace", full)
    with pytest.raises(CheckpointError, match=r"which is as it was: \[Errno 28\] No space left on device$"):
        other.save_pretrained(tmp_path)
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_files_of_others_stay(model, tmp_path: Path) -> None:
    for name in ("model-best-of-3.safetensors", "model-1.safetensors", "other.safetensors"):
        (tmp_path / name).write_bytes(b"precious")
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"of an earlier save")
    model.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == [
        *("model-1.safetensors", "model-best-of-3.safetensors", "model.safetensors", "other.safetensors")
    ]


@pytest.mark.parametrize("size", [0, -1, True])
def test_sizes_that_are_none(model, tmp_path: Path, size: Any) -> None:
    with pytest.raises(OptionError, match=f"^max_shard_size={size!r}: expected bytes, or a size as '5GB'$"):
        model.save_pretrained(tmp_path, max_shard_size=size)


def test_metrics_that_are_none(model, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=re.escape("metrics must be a dict of names and values, got ['IoU']")):
        model.save_pretrained(tmp_path, metrics=["IoU"])


def test_a_model_whose_first_convolution_was_replaced_runs(model, tmp_path: Path) -> None:
    model.preprocessing = Preprocessing(mean=(0.5,) * 3, std=(1,) * 3)
    model.encoder.stage1[0] = nn.Conv2d(5, 4, 3, stride=2, padding=1, bias=False)
    image = torch.rand(1, 5, 16, 16)
    expected = model.predict(image)
    model.save_pretrained(tmp_path)
    loaded = smp_core.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.predict(image), expected)
    assert loaded.preprocessing is None
    with pytest.raises(
        smp_core.errors.InputError, match=r"^expected an input of shape \(N, 5, H, W\), got \(1, 4, 8, 8\)"
    ):
        model(torch.rand(1, 4, 8, 8))


def test_a_classification_head_that_was_taken_off(toys, tmp_path: Path) -> None:
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None, aux_params={"classes": 2})
    model.classification_head = None
    model.save_pretrained(tmp_path)
    assert smp_core.from_pretrained(tmp_path).config["aux_params"] is None
