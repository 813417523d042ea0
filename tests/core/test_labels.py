"""`predict(labels=True)` gives the class of the largest score, and holds no scores at full resolution for it."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import smp_core
from smp_core import labelling
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


def own_class(model: smp_core.SegmentationModel, **body: object) -> smp_core.SegmentationModel:
    model.__class__ = type("Own", (type(model),), body)
    return model


def flipped_too(self, x):
    return (super(type(self), self).forward(x) + super(type(self), self).forward(x.flip(-1)).flip(-1)) / 2


def negative(self, *given):
    return -super(type(self), self)._results(*given)


def called_twice(self, x):
    return super(type(self), self).__call__(x) - 2 * super(type(self), self).__call__(x.flip(-1)).flip(-1)


@pytest.mark.parametrize("architecture", ["fpn", "linear"])
def test_a_class_that_does_more_with_its_masks(architecture: str) -> None:
    for body in ({"forward": flipped_too}, {"_results": negative}, {"__call__": called_twice}):
        x = image(2, 3, 96, 64)
        model = own_class(build(architecture, classes=3), **body)
        labels = model.predict(x, labels=True)
        assert labels.shape == (2, 96, 64)
        assert torch.equal(labels, model.predict(x).argmax(1))


def test_a_method_of_the_instance_and_a_function_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = build("fpn", classes=3), image(1, 3, 64, 64)
    before = model.predict(x, labels=True)
    forward = model.forward
    model.forward = lambda x: -forward(x)
    assert torch.equal(model.predict(x, labels=True), model.predict(x).argmax(1))
    del model.forward
    assert torch.equal(model.predict(x, labels=True), before)
    enlarge = nn.Upsample.forward
    monkeypatch.setattr(nn.Upsample, "forward", lambda self, x: -enlarge(self, x))
    assert torch.equal(model.predict(x, labels=True), model.predict(x).argmax(1))
    assert not torch.equal(model.predict(x, labels=True), before)


def test_a_model_within_a_model_gives_masks() -> None:
    inner, outer, x = build("fpn", classes=3), build("fpn", classes=3), image(1, 3, 64, 64)
    shapes = []

    def cascade(_, given):
        shapes.append(inner(given[0]).shape)

    outer.encoder.register_forward_pre_hook(cascade)
    outer.predict(x, labels=True)
    assert shapes == [(1, 3, 64, 64)]


@pytest.mark.parametrize("architecture", ["fpn", "unet", "deeplabv3plus"])
def test_a_head_that_gives_labels_by_itself(architecture: str) -> None:
    model, plain = build(architecture, classes=3, activation="argmax"), build(architecture, classes=3)
    for shape in ((1, 3, 64, 64), (2, 3, 70, 45)):
        x = image(*shape)
        expected = plain.predict(x).argmax(1)
        assert torch.equal(model.predict(x), expected)
        assert torch.equal(model.predict(x, labels=True), expected)
        with torch.no_grad():
            assert torch.equal(torch.jit.script(model)(x), expected)


@pytest.mark.parametrize("architecture", ["fpn", "segformer", "deeplabv3plus"])
def test_a_class_that_is_switched_off(architecture: str) -> None:
    model, x = build(architecture, classes=4), image(1, 3, 64, 64)
    model.segmentation_head[0].bias.data[2] = -float("inf")
    labels = model.predict(x, labels=True)
    assert torch.equal(labels, model.predict(x).argmax(1))
    # Interpolation makes NaN, the largest of all, of a weight of 0: where a pixel falls on one of the scores.
    assert (labels == 2).double().mean() < 0.2


def test_what_is_not_finite_stays_where_it_is() -> None:
    model, x = build("fpn", classes=4), image(1, 3, 96, 96)
    before = model.predict(x, labels=True)

    def spoil(_, __, scores):
        scores[0, 1, 10, 12] = float("inf")
        return scores

    model.segmentation_head[0].register_forward_hook(spoil)
    labels = model.predict(x, labels=True)
    assert torch.equal(labels, model.predict(x).argmax(1))
    assert 0 < (labels != before).double().mean() < 0.02


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (33, 2), (2, 700)])
@pytest.mark.parametrize("factor", [1.5, 2, (8, 4)])
def test_strips_are_those_of_the_whole_map(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, size: tuple[int, int], factor: float | tuple[int, int]
) -> None:
    monkeypatch.setattr(labelling, "_STRIP", 500)
    scores = image(2, 5, *size).to(dtype)
    whole = nn.UpsamplingBilinear2d(scale_factor=factor)
    kept: list[Tensor] = []
    monkeypatch.setattr(labelling, "_labels", lambda strip, _: kept.append(strip) or strip.argmax(1))
    expected = whole(scores)
    labels = labelling._labels_of_enlarged(scores, *expected.shape[2:], nn.Identity(), 0.0)
    tolerance = {torch.float64: 1e-14, torch.float32: 1e-5, torch.bfloat16: 0.05}[dtype]
    assert torch.allclose(torch.cat(kept, 2), expected, atol=tolerance, rtol=0)
    if dtype != torch.bfloat16:
        assert torch.equal(labels, expected.argmax(1))


def test_a_head_that_gives_no_maps_is_an_error() -> None:
    model = build("fpn", classes=3)
    model.segmentation_head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(IndexError, match=r"too many indices for tensor of dimension 2"):
        model(image(1, 3, 60, 60))


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


def test_the_cost_of_a_strip_is_linear_in_its_width() -> None:
    model, x = build("fpn", classes=3).float(), image(1, 3, 32, 8192).float()
    with Largest() as seen:
        model.predict(x)
    masks = seen.most
    with Largest() as seen:
        model.predict(x, labels=True)
    assert seen.most <= masks
