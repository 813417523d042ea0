"""Saving a model after its user replaced parts of it: what rebuilds it is written, or the error says what cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from toy_models import ToyEncoder, randomise

import smp_core
from smp_core.errors import CheckpointError


@pytest.fixture
def model(toys) -> smp_core.SegmentationModel:
    torch.manual_seed(0)
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None, classes=3, aux_params={"classes": 2})
    randomise(model)
    return model


def assert_comes_back(model: smp_core.SegmentationModel, folder: Path, channels: int = 3) -> smp_core.SegmentationModel:
    model.save_pretrained(folder)
    loaded = smp_core.from_pretrained(folder)
    assert list(loaded.state_dict()) == list(model.state_dict())
    x = torch.rand(1, channels, 16, 16, generator=torch.Generator().manual_seed(0))
    for here, there in zip(loaded.predict(x), model.predict(x), strict=True):
        torch.testing.assert_close(here, there)
    return loaded


def test_a_head_of_other_classes(model, tmp_path: Path) -> None:
    model.segmentation_head[0] = nn.Conv2d(8, 7, 3, padding=1)
    assert assert_comes_back(model, tmp_path).config["classes"] == 7


def test_a_classification_head_of_other_classes(model, tmp_path: Path) -> None:
    model.classification_head[3] = nn.Linear(12, 5)
    assert assert_comes_back(model, tmp_path).config["aux_params"] == {"classes": 5}


def test_another_activation(model, tmp_path: Path) -> None:
    model.segmentation_head[2] = nn.Sigmoid()
    assert assert_comes_back(model, tmp_path).config["activation"] == "sigmoid"


def test_a_first_convolution_of_other_channels(model, tmp_path: Path) -> None:
    model.encoder.stage1[0] = nn.Conv2d(5, 4, 3, stride=2, padding=1, bias=False)
    model.save_pretrained(tmp_path)
    loaded = smp_core.from_pretrained(tmp_path)
    assert loaded.config["in_channels"] == loaded.in_channels == 5
    assert torch.equal(loaded.encoder.stage1[0].weight, model.encoder.stage1[0].weight)


def _two_layers(model: smp_core.SegmentationModel) -> None:
    model.segmentation_head[0] = nn.Sequential(nn.Conv2d(8, 4, 1), nn.Conv2d(4, 3, 1))


_NOT_WRITTEN: dict[str, tuple[Callable[[smp_core.SegmentationModel], object], str]] = {
    "a head of two layers": (_two_layers, "segmentation_head.0.0.weight is (4, 8, 1, 1), nothing was built"),
    "pruned": (
        lambda model: prune.l1_unstructured(model.decoder.conv[0], "weight", 0.5),
        "decoder.conv.0.weight_orig is (8, 12, 1, 1), nothing was built",
    ),
    "weight norm": (
        lambda model: parametrizations.weight_norm(model.encoder.stage1[0]),
        "encoder.stage1.0.weight is gone, (4, 3, 3, 3) was built",
    ),
    "a removed bias": (
        lambda model: model.segmentation_head[0].register_parameter("bias", None),
        "segmentation_head.0.bias is gone, (3,) was built",
    ),
    "a compiled encoder": (
        lambda model: setattr(model, "encoder", torch.compile(model.encoder)),
        "encoder._orig_mod.stage1.0.weight is (4, 3, 3, 3), nothing was built",
    ),
}


@pytest.mark.parametrize(("change", "part"), _NOT_WRITTEN.values(), ids=_NOT_WRITTEN.keys())
def test_what_could_not_be_loaded_is_not_written(model, tmp_path: Path, change, part: str) -> None:
    change(model)
    start = "the model is no longer what its blueprint builds, so that nothing could load it back: "
    with pytest.raises(
        CheckpointError, match=f"^{re.escape(start)}.*{re.escape(part)}.*save model.state_dict"
    ) as caught:
        model.save_pretrained(tmp_path / "out")
    assert "prune.remove" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_is_undone_is_written(model, tmp_path: Path) -> None:
    prune.l1_unstructured(model.decoder.conv[0], "weight", 0.5)
    prune.remove(model.decoder.conv[0], "weight")
    assert_comes_back(model, tmp_path)


def test_layers_that_only_compute_otherwise_are_named(model, tmp_path: Path) -> None:
    model.decoder.conv[2] = nn.SiLU()
    model.encoder.stage1[0].stride = (1, 1)
    with pytest.warns(
        UserWarning, match="^these layers are not what the model was built with, and the loaded model "
    ) as w:
        model.save_pretrained(tmp_path)
    assert [item.filename for item in w] == [__file__]
    assert "decoder.conv.2 is a SiLU, was a ReLU" in str(w[0].message)
    assert "encoder.stage1.0 is Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1)" in str(w[0].message)
    smp_core.from_pretrained(tmp_path)


def test_a_module_as_encoder_is_the_users_affair(toys, tmp_path: Path) -> None:
    encoder = ToyEncoder(depth=2)
    encoder.stage1[2] = nn.SiLU()
    smp_core.create("toy", encoder).save_pretrained(tmp_path)


def test_saving_changes_no_random_numbers(model, tmp_path: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    model.save_pretrained(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_the_model_itself_is_left_alone(model, tmp_path: Path) -> None:
    model.segmentation_head[0] = nn.Conv2d(8, 7, 3, padding=1)
    before = model.blueprint
    model.save_pretrained(tmp_path)
    assert model.blueprint == before
    assert model.training
