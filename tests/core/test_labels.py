"""`predict(labels=True)` gives the class of the largest score, and holds no scores at full resolution for it."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import smp_core
from smp_core.errors import OptionError


def build(architecture: str, **options: object) -> smp_core.SegmentationModel:
    torch.manual_seed(0)
    return smp_core.create(architecture, "resnet18", encoder_weights=None, **options).double().eval()


def image(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("architecture", ["unet", "fpn", "segformer", "deeplabv3", "pspnet", "pan"])
@pytest.mark.parametrize("activation", [None, "softmax"])
def test_labels_are_those_of_the_masks(architecture: str, activation: str | None) -> None:
    model = build(architecture, classes=4, activation=activation)
    for shape in ((2, 3, 64, 96), (1, 3, 33, 70)):
        x = image(*shape)
        labels = model.predict(x, labels=True)
        assert (labels.dtype, labels.shape) == (torch.int64, (shape[0], *shape[2:]))
        assert torch.equal(labels, model.predict(x).argmax(1))
        assert torch.equal(smp_core.optimize(model).predict(x, labels=True), labels)


@pytest.mark.parametrize(("activation", "threshold"), [(None, 0.0), ("sigmoid", 0.5)])
@pytest.mark.parametrize("architecture", ["unet", "segformer"])
def test_one_class(architecture: str, activation: str | None, threshold: float) -> None:
    model, x = build(architecture, activation=activation), image(2, 3, 64, 96)
    labels = model.predict(x, labels=True)
    assert torch.equal(labels, (model.predict(x)[:, 0] > threshold).long())
    assert set(labels.unique().tolist()) == {0, 1}


def test_one_class_of_which_nobody_knows_where_it_begins() -> None:
    model = build("segformer", activation="clamp")
    message = (
        "it must be known from which score on a pixel belongs to it, which is 0 without an activation and 0.5 with"
    )
    with pytest.raises(OptionError, match=re.escape(message)):
        model.predict(image(1, 3, 64, 64), labels=True)


def test_with_a_classification_head() -> None:
    model, x = build("fpn", classes=3, aux_params={"classes": 5}), image(2, 3, 64, 64)
    labels, scores = model.predict(x, labels=True)
    masks, expected = model.predict(x)
    assert torch.equal(labels, masks.argmax(1))
    assert torch.equal(scores, expected)


def test_what_was_put_in_the_heads_place() -> None:
    model, x = build("segformer", classes=4), image(1, 3, 64, 64)
    model.segmentation_head[1].register_forward_hook(lambda *given: -given[2])
    assert torch.equal(model.predict(x, labels=True), model.predict(x).argmax(1))
    model.segmentation_head = nn.Sequential(nn.Conv2d(256, 7, 1).double(), nn.Upsample(scale_factor=2))
    assert torch.equal(model.predict(x, labels=True), model.predict(x).argmax(1))
    assert build("unet", classes=3, activation="argmax").predict(x, labels=True).shape == (1, 64, 64)


class Largest(TorchFunctionMode):
    """The most floating-point values of any tensor that an operation returned."""

    most = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.is_floating_point():
            self.most = max(self.most, result.numel())
        return result


def test_no_scores_at_full_resolution() -> None:
    model, x = build("segformer", classes=50).float(), image(1, 3, 256, 256).float()
    with Largest() as seen:
        model.predict(x, labels=True)
    assert seen.most < 50 * 256 * 256 / 2
