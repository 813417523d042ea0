"""Quantisation by torchao, and by torch.ao's FX mode on a model that has learned something."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from operations import build, image
from torch import Tensor, nn
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig, quantize_

import smp_core
from smp_cli.quickstart.recipe import Recipe, iou, train
from smp_cli.quickstart.sample import Sample, load_sample

# By how much eight bits in place of 32 may change the intersection over union.
_DROP = 0.02


@pytest.mark.parametrize("config", [Int8WeightOnlyConfig, Int8DynamicActivationInt8WeightConfig])
@pytest.mark.parametrize(
    ("architecture", "encoder"), [("segformer", "mit_b0"), ("segformer", "resnet18"), ("upernet", "mit_b0")]
)
def test_linear_layers_by_torchao(architecture: str, encoder: str, config: type) -> None:
    model = build(architecture, encoder)
    with torch.no_grad():
        expected = model(image())
        quantize_(model, config())
        quantised = [
            part for part in model.modules() if isinstance(part, nn.Linear) and type(part.weight) is not nn.Parameter
        ]
        assert quantised
        found = model(image())
    assert 0 < (found - expected).norm() / expected.norm() < 0.05


@pytest.fixture(scope="module")
def sample() -> Sample:
    return load_sample()


@pytest.fixture(scope="module")
def learned(sample: Sample) -> smp_core.SegmentationModel:
    """Unet over resnet18 that finds nuclei in the micrograph."""
    torch.manual_seed(0)
    model = smp_core.create("unet", "resnet18", encoder_weights=None, in_channels=1, classes=1)
    model.preprocessing = sample.preprocessing()
    train(model, sample, Recipe(steps=60, side=96), lambda *_: None)
    return model


def prepared(model: smp_core.SegmentationModel, images: Tensor) -> Tensor:
    assert model.preprocessing is not None
    return model.preprocessing(images)


def score(model: nn.Module, x: Tensor, mask: Tensor) -> float:
    with torch.no_grad():
        return iou(model(x) > 0, mask > 0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
def test_eight_bits_by_fx(learned: smp_core.SegmentationModel, sample: Sample) -> None:
    images, mask = sample.held_out
    x = prepared(learned, images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of its observers
        observed = prepare_fx(copy.deepcopy(learned), get_default_qconfig_mapping(), (x,))
        with torch.no_grad():
            observed(prepared(learned, sample.training[0]))
        quantised = convert_fx(observed)
    before, after = score(learned, x, mask), score(quantised, x, mask)
    assert before > 0.7
    assert abs(before - after) < _DROP
    assert any(part._get_name().startswith("Quantized") for part in quantised.modules())
    assert not [name for name, part in quantised.named_modules() if type(part) is nn.Conv2d]
