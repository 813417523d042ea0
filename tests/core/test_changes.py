"""Loading a saved model as another: other classes, channels, heads, options; and files that only nearly fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_models import ToyEncoder, randomise

import smp_core
from smp_core.errors import CheckpointError, OptionError
from smp_core.tensors.channels import fit_weight

_FIRST = "encoder.stage1.0.weight"
_HEAD = ("segmentation_head.0.weight", "segmentation_head.0.bias")


@pytest.fixture
def saved(toys, tmp_path: Path) -> Path:
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None, classes=3)
    randomise(model)
    return model.save_pretrained(tmp_path / "model")


def load(saved: Path, **options: Any) -> tuple[smp_core.SegmentationModel, str]:
    """The model, and the one warning that loading it gave."""
    with pytest.warns(UserWarning, match="^not everything was loaded; ") as caught:
        model = smp_core.from_pretrained(saved, **options)
    assert [item.filename for item in caught] == [__file__]
    return model, str(caught[0].message).removeprefix("not everything was loaded; ")


def assert_rest_is_loaded(model: smp_core.SegmentationModel, saved: Path, *fresh: str) -> None:
    tensors = load_file(saved / "model.safetensors")
    for name, tensor in model.state_dict().items():
        assert not tensor.is_meta
        if name not in fresh:
            assert torch.equal(tensor, tensors[name]), name
        elif name in tensors:
            assert tensor.shape != tensors[name].shape, name


def test_other_classes(saved: Path) -> None:
    model, message = load(saved, classes=5)
    assert message == (
        "left at their initialisation: segmentation_head.0.weight ((3, 8, 3, 3) in the file, (5, 8, 3, 3) wanted), "
        "segmentation_head.0.bias ((3,) in the file, (5,) wanted)"
    )
    assert_rest_is_loaded(model, saved, *_HEAD)
    assert model.config["classes"] == 5
    assert not model.training
    assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 5, 16, 16)


def test_what_is_left_is_initialised_as_a_new_model_is(saved: Path) -> None:
    torch.manual_seed(3)
    model, _ = load(saved, classes=5)
    torch.manual_seed(3)
    fresh = smp_core.create("toy", "toy_encoder", encoder_weights=None, classes=5)
    for name in _HEAD:
        assert torch.equal(model.state_dict()[name], fresh.state_dict()[name])


def test_other_channels(saved: Path) -> None:
    model, message = load(saved, in_channels=4)
    assert message == f"left at their initialisation: {_FIRST} ((4, 3, 3, 3) in the file, (4, 4, 3, 3) wanted)"
    assert_rest_is_loaded(model, saved, _FIRST)
    assert model(torch.zeros(1, 4, 16, 16)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("fitting", ["smp", "mean_preserving"])
def test_other_channels_that_are_fitted(saved: Path, fitting: str) -> None:
    model = smp_core.from_pretrained(saved, in_channels=4, channel_fitting=fitting)
    assert_rest_is_loaded(model, saved, _FIRST)
    weight = load_file(saved / "model.safetensors")[_FIRST]
    assert torch.equal(model.state_dict()[_FIRST], fit_weight(weight, 4, fitting))


def test_a_classification_head_beside_it(saved: Path) -> None:
    model, message = load(saved, aux_params={"classes": 4})
    added = ("classification_head.3.weight", "classification_head.3.bias")
    assert message == f"left at their initialisation: {added[0]} (not in the file), {added[1]} (not in the file)"
    assert_rest_is_loaded(model, saved, *added)
    model.save_pretrained(saved)
    without, message = load(saved, aux_params=None)
    assert message == f"in the file, but not in the model: {added[1]}, {added[0]}"
    assert without.classification_head is None


def test_an_option_of_the_architecture(saved: Path) -> None:
    model, message = load(saved, width=6)
    assert "decoder.conv.0.weight ((8, 12, 1, 1) in the file, (6, 12, 1, 1) wanted)" in message
    assert model.config["width"] == 6
    norm = (f"decoder.conv.1.{name}" for name in ("weight", "bias", "running_mean", "running_var"))
    assert_rest_is_loaded(model, saved, "decoder.conv.0.weight", "segmentation_head.0.weight", *norm)


@pytest.mark.parametrize(
    "change", [{"activation": "sigmoid"}, {"size_multiple": 4}, {"classes": 3}, {"encoder_depth": 3}]
)
def test_a_change_that_no_tensor_sees(saved: Path, change: dict[str, Any]) -> None:
    model = smp_core.from_pretrained(saved, **change)
    assert_rest_is_loaded(model, saved)
    assert {name: model.config[name] for name in change} == change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "blue"}, "architecture 'acme-smp-toy/toy' has no option 'colour'; its options are width, "),
        ({"classes": 0}, "classes must be an int of at least 1, got 0"),
        ({"encoder_name": "other"}, "'encoder_name' cannot be changed: with other parts it is another model"),
        ({"arch": "unet"}, "'arch' cannot be changed"),
        ({"neck": "regrid"}, "'neck' cannot be changed"),
        ({"decoder_use_norm": "magic"}, "unknown norm 'magic'"),
    ],
)
def test_a_change_that_cannot_be(saved: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}") as caught:
        smp_core.from_pretrained(saved, **change)
    assert type(caught.value) is OptionError


def damage(saved: Path) -> None:
    tensors = load_file(saved / "model.safetensors")
    del tensors["decoder.conv.1.bias"]
    tensors["decoder.extra"] = torch.zeros(1)
    save_file(tensors, saved / "model.safetensors")


@pytest.mark.parametrize("change", [{}, {"classes": 5}])
def test_everything_else_must_fit(saved: Path, change: dict[str, Any]) -> None:
    damage(saved)
    message = (
        f"model.safetensors in {str(saved)!r} does not fit its config.json: "
        'Missing key(s) in state_dict: "decoder.conv.1.bias". Unexpected key(s) in state_dict: "decoder.extra".'
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        smp_core.from_pretrained(saved, **change)


def test_less_strictly(saved: Path) -> None:
    damage(saved)
    model, message = load(saved, strict=False)
    assert message == (
        "left at their initialisation: decoder.conv.1.bias (not in the file); "
        "in the file, but not in the model: decoder.extra"
    )
    assert_rest_is_loaded(model, saved, "decoder.conv.1.bias")
    model, message = load(saved, strict=False, classes=5)
    assert all(name in message for name in (*_HEAD, "decoder.conv.1.bias", "decoder.extra"))
    assert_rest_is_loaded(model, saved, *_HEAD, "decoder.conv.1.bias")


def test_where_and_as_what(saved: Path) -> None:
    half = smp_core.from_pretrained(saved, dtype=torch.float16)
    assert {tensor.dtype for tensor in half.state_dict().values()} == {torch.float16, torch.int64}
    changed, _ = load(saved, dtype=torch.bfloat16, classes=2)
    assert {tensor.dtype for tensor in changed.state_dict().values()} == {torch.bfloat16, torch.int64}
    for name in ("device", "map_location"):
        model = smp_core.from_pretrained(saved, **{name: "meta"})
        assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}
        assert smp_core.from_pretrained(saved, **{name: torch.device("cpu")}).state_dict()[_FIRST].device.type == "cpu"


def test_integers_are_no_weights(saved: Path) -> None:
    tensors = load_file(saved / "model.safetensors")
    tensors[_FIRST] = tensors[_FIRST].to(torch.int32)
    save_file(tensors, saved / "model.safetensors")
    message = f"{_FIRST} is stored as torch.int32; expected floating-point numbers, as torch.float32"
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        smp_core.from_pretrained(saved)


def test_a_model_over_a_module_with_other_classes(toys, tmp_path: Path) -> None:
    model = smp_core.create("toy", ToyEncoder(in_channels=2, depth=2), classes=2)
    saved = model.save_pretrained(tmp_path)
    loaded, _ = load(saved, encoder=ToyEncoder(in_channels=2, depth=2), classes=4)
    assert_rest_is_loaded(loaded, saved, *_HEAD)


# --- load_state_dict


def test_loading_a_state_dict_less_strictly(saved: Path) -> None:
    tensors = load_file(saved / "model.safetensors")
    before = dict(tensors)
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None, classes=5)
    head = model.segmentation_head[0].weight.clone()
    message = (
        "tensors of other shapes were not loaded: segmentation_head.0.weight (3, 8, 3, 3) for (5, 8, 3, 3), "
        "segmentation_head.0.bias (3,) for (5,)"
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as caught:
        result = model.load_state_dict(tensors, strict=False)
    assert [item.filename for item in caught] == [__file__]
    assert sorted(result.missing_keys) == sorted(_HEAD)
    assert torch.equal(model.segmentation_head[0].weight, head)
    assert_rest_is_loaded(model, saved, *_HEAD)
    assert list(tensors) == list(before)
    assert all(tensors[name] is before[name] for name in before)
    with pytest.raises(RuntimeError, match=r"size mismatch for segmentation_head\.0\.weight"):
        model.load_state_dict(tensors)
    del tensors[_HEAD[0]], tensors[_HEAD[1]]
    assert sorted(model.load_state_dict({**tensors, "more": head}, strict=False).missing_keys) == sorted(_HEAD)
