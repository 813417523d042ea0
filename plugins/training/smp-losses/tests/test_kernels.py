"""Kernels of other distributions: when they are asked for, what they are given, and when they cannot be imported."""

from __future__ import annotations

import re

import pytest
import torch

import smp_losses
from smp_losses import kernels, lovasz_extension
from smp_losses.focal_terms import FocalOptions, index_sums
from smp_losses.inputs import Flat
from smp_losses.kernels import FOCAL, REGION, use_kernels
from smp_losses.region import region_sums

CALLS = []


def region_kernel(scores, target, valid):
    CALLS.append((REGION, scores.dtype, None if valid is None else int(valid.sum())))
    x = scores.float() if valid is None else scores.float().masked_fill(~valid.unsqueeze(1), 0)
    sums = region_sums(Flat(x, target, valid), "multiclass", True)
    return sums.both, sums.predicted, sums.labelled


def focal_kernel(scores, target, valid, alpha, gamma, threshold):
    CALLS.append((FOCAL, scores.dtype, None if valid is None else int(valid.sum())))
    x = scores.float() if valid is None else scores.float().masked_fill(~valid.unsqueeze(1), 0)
    return index_sums(x, target, valid, FocalOptions(alpha, gamma, threshold))


class Point:
    """An entry point, as far as it is looked at."""

    def __init__(self, value, load):
        self.value, self.load = value, load


def provide(monkeypatch, points):
    def found(group, name):
        assert group == "smp_losses.kernels"
        return [points[name]]

    monkeypatch.setattr(kernels, "entry_points", found)
    monkeypatch.setattr(kernels, "_kernels", {})


@pytest.fixture(autouse=True)
def provided(monkeypatch):
    """Both kernels, by entry points of this module."""
    points = {REGION: Point("acme:region", lambda: region_kernel), FOCAL: Point("acme:focal", lambda: focal_kernel)}
    provide(monkeypatch, points)
    CALLS.clear()


def labelled(dtype=torch.bfloat16):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, 5, generator=generator).to(dtype)
    y = torch.randint(0, 3, (2, 4, 5), generator=generator)
    y[0, 0] = 255
    x[0, :, 0] = torch.nan
    return x, y


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (smp_losses.DiceLoss("multiclass", ignore_index=255, class_weights=[1, 2, 3]), REGION),
        (smp_losses.JaccardLoss("multiclass", ignore_index=255), REGION),
        (smp_losses.TverskyLoss("multiclass", ignore_index=255), REGION),
        (smp_losses.FocalLoss("multiclass", ignore_index=255, class_weights=[1, 2, 3]), FOCAL),
        (smp_losses.FocalLoss("multiclass", ignore_index=255, reduction="sum"), FOCAL),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_a_kernel_gets_the_scores_as_they_came(loss, name, dtype):
    x, y = labelled(dtype)
    expected = loss(x, y)
    assert CALLS == []
    with use_kernels(True):
        got = loss(x, y)
    (call,) = CALLS
    assert call == (name, dtype, 35)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "loss",
    [
        smp_losses.DiceLoss("multiclass", from_logits=False),
        smp_losses.DiceLoss("multilabel"),
        smp_losses.MCCLoss(mode="multiclass", from_logits=True),
        smp_losses.FocalLoss("multilabel"),
        smp_losses.FocalLoss("multiclass", reduction="none"),
        smp_losses.FocalLoss("multiclass", normalized=True),
    ],
    ids=str,
)
def test_what_no_kernel_computes(loss):
    x = torch.full((2, 3, 4, 5), 0.3)
    y = (x > 0).float() if loss.mode == "multilabel" else torch.zeros(2, 4, 5, dtype=torch.long)
    with use_kernels(True):
        loss(x, y)
    assert CALLS == []


def test_compilers_transforms_subclasses_and_empty_batches_take_the_formula():
    class Named(torch.Tensor):
        pass

    loss = smp_losses.DiceLoss("multiclass")
    x, y = torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.long)
    with use_kernels(True):
        torch.compile(loss, backend="eager", fullgraph=True)(x, y)
        torch.func.grad(loss)(x, y)
        loss(x.as_subclass(Named), y)
        loss(x[:0], y[:0])
        assert CALLS == []
        with use_kernels(False):
            loss(x, y)
        assert CALLS == []
        loss(x, y)
    assert len(CALLS) == 1


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ("scores", "DiceLoss (multiclass): y_pred must be a tensor, got str"),
        (
            torch.zeros(2, 3, 4, dtype=torch.long),
            "DiceLoss (multiclass): y_pred must be floating point, got torch.int64",
        ),
    ],
)
def test_errors_stay_the_same(x, message):
    with use_kernels(True), pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        smp_losses.DiceLoss("multiclass")(x, torch.zeros(2, 4, dtype=torch.long))


def test_a_kernel_that_cannot_be_imported_is_told_of_once(monkeypatch):
    def broken():
        raise ImportError("No module named 'triton'")

    provide(monkeypatch, {REGION: Point("acme:region", broken)})
    loss, (x, y) = smp_losses.DiceLoss("multiclass", ignore_index=255), labelled()
    message = "cannot be used, and operations of torch run in its place: No module named 'triton'"
    with use_kernels(True):
        with pytest.warns(RuntimeWarning, match=f"^smp-losses: the kernel acme:region {re.escape(message)}$"):
            first = loss(x, y)
        assert torch.equal(loss(x, y), first)  # warnings are errors here
    assert torch.equal(loss(x, y), first)


# --- Lovasz on a device whose numbers are not at hand


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_lovasz_without_looking_at_numbers(monkeypatch, per_image, weights):
    loss = smp_losses.LovaszLoss("multiclass", per_image, ignore_index=255, class_weights=weights)
    x, y = labelled(torch.float32)
    y[1] = 2  # the second image lacks two classes
    found = []
    for at_hand in (True, False):
        monkeypatch.setattr(lovasz_extension, "_are_at_hand", lambda _, answer=at_hand: answer)
        leaf = x.clone().requires_grad_()
        value = loss(leaf, y)
        found.append((value.detach(), *torch.autograd.grad(value, leaf)))
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-8)


def test_lovasz_takes_classes_apart_where_rows_are_long():
    long = lovasz_extension._LONG_ROW
    scores = torch.empty(1, device="meta")
    assert [lovasz_extension._takes_classes_apart(scores, row) for row in (long - 1, long)] == [False, True]
    assert lovasz_extension._takes_classes_apart(torch.empty(1), 1)
