"""Each value that is not SMP's: ours by default, and SMP's on request, also by its own word where it is installed."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import smp_losses

REGIONS = ["DiceLoss", "JaccardLoss", "TverskyLoss"]
IGNORED = 255


def both(name, *args, **options):
    """Our loss, and our loss with SMP's values."""
    make = getattr(smp_losses, name)
    return make(*args, **options), make(*args, **options, smp_values=True)


@pytest.fixture
def random():
    generator = torch.Generator().manual_seed(0)

    def make(*shape):
        return torch.randn(shape, generator=generator)

    return make


@pytest.mark.parametrize("name", REGIONS)
def test_an_absent_class_leaves_the_mean(name, random):
    x, y = random(2, 3, 4, 4), torch.randint(0, 2, (2, 4, 4))
    ours, smp = both(name, "multiclass")
    present = getattr(smp_losses, name)("multiclass", classes=[0, 1])
    assert ours(x, y).item() == pytest.approx(present(x, y).item())
    # There it is a loss of 0 among three.
    assert smp(x, y).item() == pytest.approx(present(x, y).item() * 2 / 3)


@pytest.mark.parametrize("name", REGIONS)
def test_the_weight_of_an_absent_class_leaves_the_mean(name, random):
    x, y = random(2, 3, 4, 4), torch.randint(0, 2, (2, 4, 4))
    ours, smp = both(name, "multiclass", class_weights=[1, 2, 7])
    present = getattr(smp_losses, name)("multiclass", classes=[0, 1], class_weights=[1, 2, 7])
    assert ours(x, y).item() == pytest.approx(present(x, y).item())
    assert smp(x, y).item() == pytest.approx(present(x, y).item() * 3 / 10)


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
@pytest.mark.parametrize("name", [*REGIONS, "LovaszLoss", "MCCLoss"])
def test_an_absent_class_does_not_pull_to_empty_masks(name, mode, random):
    options = {"from_logits": True} if name == "MCCLoss" else {}
    x = random(2, 1 if mode == "binary" else 2, 4, 4).requires_grad_()
    value = getattr(smp_losses, name)(mode=mode, **options)(x, torch.zeros(x.shape))
    value.backward()
    assert value.item() == 0
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_lovasz_of_an_empty_mask(random):
    x, empty = random(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    ours, smp = both("LovaszLoss", "binary")
    assert ours(x, empty).item() == 0
    assert smp(x, empty).item() == pytest.approx(1 + x.max().item())


def test_lovasz_per_image_leaves_out_images_without_labels(random):
    x = random(2, 1, 4, 4)
    y = torch.stack([torch.ones(1, 4, 4), torch.full((1, 4, 4), IGNORED)])
    ours, smp = both("LovaszLoss", "binary", per_image=True, ignore_index=IGNORED)
    assert ours(x, y).item() == pytest.approx(ours(x[:1], y[:1]).item())
    assert smp(x, y).item() == pytest.approx(ours(x[:1], y[:1]).item() / 2)


def test_lovasz_of_probabilities(random):
    x, y = random(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    ours, smp = both("LovaszLoss", "multiclass", from_logits=False)
    from_logits = smp_losses.LovaszLoss("multiclass")
    assert ours(x.softmax(1), y).item() == pytest.approx(from_logits(x, y).item(), rel=1e-5)
    assert smp(x.softmax(1), y).item() == pytest.approx(from_logits(x.softmax(1), y).item())
    ours, smp = both("LovaszLoss", "binary", from_logits=False)
    x, y, from_logits = x[:, :1], (y > 0)[:, None].long(), smp_losses.LovaszLoss("binary")
    assert ours(x.sigmoid(), y).item() == pytest.approx(from_logits(x, y).item(), rel=1e-5)
    assert smp(x.sigmoid(), y).item() == pytest.approx(from_logits(x.sigmoid(), y).item())


def test_mcc_of_an_empty_mask(random):
    p, empty = random(2, 1, 4, 4).sigmoid(), torch.zeros(2, 1, 4, 4)
    ours, smp = both("MCCLoss")
    for target in (empty, empty + 1):
        assert ours(p, target).item() == 0
        assert smp(p, target).item() == pytest.approx(1, abs=1e-2)


def test_focal_of_a_perfect_prediction():
    p, y = torch.tensor([[[1.0]], [[0.0]]]).view(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long)
    ours, smp = both("FocalLoss", "multiclass", from_logits=False)
    assert ours(p, y).item() == pytest.approx(0, abs=1e-6)
    assert smp(p, y).item() == pytest.approx(math.log(2) / 4 / 2, rel=1e-5)


def test_focal_none(random):
    x, y = random(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    mean = smp_losses.FocalLoss("multiclass")(x, y)
    ours, smp = both("FocalLoss", "multiclass", reduction="none")
    assert ours(x, y).shape == x.shape
    torch.testing.assert_close(ours(x, y).mean(), mean)
    torch.testing.assert_close(smp(x, y), mean)
    xb, yb = x[:, :1], (y > 0).long()
    yb[0, 0] = IGNORED
    ours, smp = both("FocalLoss", "binary", reduction="none", ignore_index=IGNORED)
    assert ours(xb, yb).shape == xb.shape
    assert torch.equal(ours(xb, yb)[0, 0, 0], torch.zeros(5))
    assert smp(xb, yb).shape == (35,)


def test_focal_batchwise_mean(random):
    x, y = random(3, 1, 4, 5), torch.randint(0, 2, (3, 4, 5))
    ours, smp = both("FocalLoss", "binary", reduction="batchwise_mean")
    total = smp_losses.FocalLoss("binary", reduction="sum")(x, y)
    torch.testing.assert_close(ours(x, y), total / 20)
    torch.testing.assert_close(smp(x, y), total)


def test_ignored_pixels_do_not_count_in_the_mean_of_soft_bce(random):
    x, y = random(2, 1, 4, 4), torch.randint(0, 2, (2, 1, 4, 4)).float()
    y[0] = -100
    ours, smp = both("SoftBCEWithLogitsLoss")
    torch.testing.assert_close(ours(x, y), binary_cross_entropy_with_logits(x[1], y[1]))
    torch.testing.assert_close(smp(x, y), binary_cross_entropy_with_logits(x[1], y[1]) / 2)


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_ignored_pixels_do_not_count_in_the_mean_of_soft_cross_entropy(weights, random):
    x, y = random(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    y[0, :2] = -100
    ours, smp = both("SoftCrossEntropyLoss", smooth_factor=0.1, class_weights=weights)
    weight = None if weights is None else torch.tensor(weights)
    expected = cross_entropy(x, y, weight, label_smoothing=0.1)
    torch.testing.assert_close(ours(x, y), expected)
    assert smp(x, y) < expected
    if weights is None:
        torch.testing.assert_close(smp(x, y), expected * 24 / 32)


def test_soft_cross_entropy_none(random):
    x, y = random(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    ours, smp = both("SoftCrossEntropyLoss", reduction="none")
    assert ours(x, y).shape == (2, 4, 4)
    assert smp(x, y).shape == (2, 1, 4, 4)


def test_soft_cross_entropy_works_with_its_defaults(random):
    x, y = random(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    torch.testing.assert_close(smp_losses.SoftCrossEntropyLoss()(x, y), cross_entropy(x, y))


@pytest.mark.parametrize("name", ["DiceLoss", "JaccardLoss", "TverskyLoss"])
def test_soft_labels_can_be_met(name):
    p = torch.rand(2, 1, 4, 4)
    loss = getattr(smp_losses, name)("binary", from_logits=False)
    assert loss(p, p.clone()).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parity
@pytest.mark.skipif(importlib.util.find_spec("segmentation_models_pytorch") is None, reason="needs SMP")
def test_what_is_said_of_smp_is_so():
    """The faults that have no value to be compared: errors, NaN, empty tensors."""
    peer = pytest.importorskip("segmentation_models_pytorch").losses
    x, y = torch.randn(2, 3, 64, 64), torch.randint(0, 3, (2, 64, 64))
    ignored, maps = torch.full_like(y, IGNORED), torch.zeros_like(x)
    with pytest.raises(TypeError, match="NoneType"):
        peer.SoftCrossEntropyLoss()(x, y)
    with pytest.raises(IndexError, match="too many indices"):
        peer.FocalLoss("multilabel", ignore_index=IGNORED)(x, maps)
    assert peer.FocalLoss("multiclass", ignore_index=IGNORED)(x, ignored).isnan()
    assert peer.LovaszLoss("multiclass", ignore_index=IGNORED)(x, ignored).shape == (0, 3)
    with pytest.raises(RuntimeError, match="same dtype"):
        peer.LovaszLoss("multiclass")(x.half(), y)
    assert not peer.DiceLoss("multiclass")((torch.randn(2, 3, 512, 512) * 3).half(), y.repeat(1, 8, 8)).isfinite()
    perfect = torch.full((1, 1, 4, 4), 200.0, requires_grad=True)
    peer.TverskyLoss("binary", gamma=0.75)(perfect, torch.ones(1, 1, 4, 4)).backward()
    assert perfect.grad.isnan().all()
