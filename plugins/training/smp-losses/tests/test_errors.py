"""Wrong input is refused, and the error says what came and what was expected."""

from __future__ import annotations

import re

import pytest
import torch

import smp_losses
from smp_losses import DiceLoss, FocalLoss, LovaszLoss, MCCLoss, SoftBCEWithLogitsLoss, SoftCrossEntropyLoss

MULTICLASS = [
    DiceLoss("multiclass", ignore_index=255),
    smp_losses.JaccardLoss("multiclass", ignore_index=255),
    smp_losses.TverskyLoss("multiclass", ignore_index=255),
    FocalLoss("multiclass", ignore_index=255),
    LovaszLoss("multiclass", ignore_index=255),
    MCCLoss(mode="multiclass", ignore_index=255),
    SoftCrossEntropyLoss(ignore_index=255),
]
MAPS = [
    *(loss(mode) for loss in (DiceLoss, FocalLoss, LovaszLoss) for mode in ("binary", "multilabel")),
    MCCLoss(),
    SoftBCEWithLogitsLoss(),
]


def name_of(loss):
    return type(loss).__name__


def refused(error, message):
    return pytest.raises(error, match=re.escape(message))


@pytest.mark.parametrize("loss", MULTICLASS, ids=name_of)
def test_multiclass(loss):
    x, y = torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.long)
    where = f"{name_of(loss)} (multiclass): "
    with refused(
        ValueError, f"{where}y_true must have shape (2, 4, 5) or (2, 1, 4, 5) for y_pred of shape (2, 3, 4, 5)"
    ):
        loss(x, y[:, :3])
    with refused(TypeError, f"{where}y_true must hold class indices in an integer dtype, got torch.float32"):
        loss(x, y.float())
    with refused(TypeError, f"{where}y_true must hold class indices in an integer dtype, got torch.bool"):
        loss(x, y.bool())
    expected = "labels of 3 classes must be integers from 0 to 2, or 255 for what is ignored; got values from 0 to 7"
    with refused(ValueError, where + expected):
        loss(x, y.index_fill(2, torch.tensor([1]), 7))
    with refused(ValueError, "got values from -1 to 0"):
        loss(x, y.index_fill(2, torch.tensor([1]), -1))
    with refused(ValueError, f"{where}y_pred must have shape (N, C, ...), got (2,)"):
        loss(x[:, 0, 0, 0], y[:, 0, 0])


@pytest.mark.parametrize("loss", MAPS, ids=name_of)
def test_maps(loss):
    x, y = torch.zeros(2, 1, 4, 5), torch.zeros(2, 1, 4, 5)
    with refused(ValueError, "for y_pred of shape (2, 1, 4, 5), got (2, 1, 4, 4)"):
        loss(x, y[..., :4])
    with refused(ValueError, "y_true must lie within 0 and 1"):
        loss(x, y + 255)
    with refused(ValueError, "got values from 0 to 2"):
        loss(x, y.long().index_fill(3, torch.tensor([1]), 2))
    with refused(ValueError, "got values from nan to nan"):
        loss(x, y * float("nan"))


@pytest.mark.parametrize("loss", [*MULTICLASS, *MAPS], ids=name_of)
def test_tensors(loss):
    x, y = torch.zeros(2, 1, 4, 5), torch.zeros(2, 1, 4, 5, dtype=torch.long)
    with refused(TypeError, "y_pred must be a tensor, got list"):
        loss([0.0], y)
    with refused(TypeError, "y_true must be a tensor, got NoneType"):
        loss(x, None)
    with refused(TypeError, "y_pred must be floating point, got torch.int64"):
        loss(x.long(), y)
    with refused(TypeError, "y_pred must be real, got torch.complex64"):
        loss(x.to(torch.complex64), y)
    with refused(ValueError, "y_pred is on cpu, but y_true is on meta"):
        loss(x, y.to("meta"))
    with refused(ValueError, "y_pred must have a batch axis, got a tensor without any axis"):
        loss(torch.tensor(0.0), y)


def test_multiclass_shapes_in_binary_mode():
    with refused(ValueError, "3 channels of scores for one map of labels are for the mode 'multiclass'"):
        DiceLoss("binary")(torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5))


def test_multilabel_without_channels():
    with refused(ValueError, "DiceLoss (multilabel): y_pred must have shape (N, C, ...), got (4,)"):
        DiceLoss("multilabel")(torch.zeros(4), torch.zeros(4))


@pytest.mark.parametrize("loss", ["DiceLoss", "JaccardLoss", "TverskyLoss", "FocalLoss", "LovaszLoss", "MCCLoss"])
def test_options_of_all(loss):
    make = getattr(smp_losses, loss)
    with refused(ValueError, f"{loss}: mode must be 'binary', 'multiclass' or 'multilabel', got 'multi'"):
        make(mode="multi")
    with refused(ValueError, f"{loss}: class_weights need the mode 'multiclass' or 'multilabel'"):
        make(mode="binary", class_weights=[1.0])
    for weights in ([1.0, -1.0], [0.0, 0.0], [1.0, float("nan")]):
        with refused(ValueError, f"{loss}: class_weights must be finite, not negative and not all zero, got"):
            make(mode="multiclass", class_weights=weights)
    with refused(ValueError, f"{loss}: class_weights must be one number per class, got shape (1, 2)"):
        make(mode="multiclass", class_weights=torch.ones(1, 2))
    with refused(ValueError, f"{loss}: 2 class_weights were given, but y_pred has 3 classes"):
        make(mode="multiclass", class_weights=[1, 2])(torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.long))


def test_classes():
    with refused(ValueError, "DiceLoss: classes need the mode 'multiclass' or 'multilabel'"):
        DiceLoss("binary", classes=[0])
    with refused(ValueError, "DiceLoss: classes must name at least one class, got an empty list"):
        DiceLoss("multiclass", classes=[])
    with refused(ValueError, "DiceLoss: classes [1, 3] were asked for, but y_pred has 3 classes"):
        DiceLoss("multiclass", classes=[1, 3])(torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.long))


def test_options_of_one():
    with refused(ValueError, "FocalLoss: reduction must be one of 'mean', 'sum', 'none', 'batchwise_mean', got 'avg'"):
        FocalLoss("binary", reduction="avg")
    with refused(ValueError, "FocalLoss: gamma must not be negative, got -1"):
        FocalLoss("binary", gamma=-1)
    with refused(ValueError, "SoftCrossEntropyLoss: reduction must be one of 'mean', 'sum', 'none', got 'avg'"):
        SoftCrossEntropyLoss("avg")
    with refused(ValueError, "SoftBCEWithLogitsLoss: reduction must be one of 'mean', 'sum', 'none', got 'avg'"):
        SoftBCEWithLogitsLoss(reduction="avg")
    with refused(ValueError, "SoftCrossEntropyLoss: smooth_factor must lie within 0 and 1, got 1.5"):
        SoftCrossEntropyLoss(smooth_factor=1.5)
    with refused(ValueError, "MCCLoss: eps must not be negative, got -1"):
        MCCLoss(eps=-1)
    with refused(ValueError, "SoftBCEWithLogitsLoss: 2 class_weights were given, but y_pred has 3 classes"):
        SoftBCEWithLogitsLoss(class_weights=[1, 2])(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4))


def test_label_checks_can_be_switched_off():
    x, y = torch.zeros(2, 1, 4), torch.full((2, 1, 4), 255)
    try:
        smp_losses.set_label_checks("never")
        assert DiceLoss("binary")(x, y).isfinite()
    finally:
        smp_losses.set_label_checks("cpu")
    with refused(ValueError, "got values from 255 to 255"):
        DiceLoss("binary")(x, y)
    with refused(ValueError, "label checks can be made on 'cpu', 'always' or 'never', got 'gpu'"):
        smp_losses.set_label_checks("gpu")


def test_the_missing_channel_of_binary():
    x, y = torch.randn(2, 1, 4, 5), torch.randint(0, 2, (2, 1, 4, 5))
    for loss in (DiceLoss("binary"), FocalLoss("binary"), LovaszLoss("binary"), SoftBCEWithLogitsLoss()):
        expected = loss(x, y)
        for a, b in ((x, y[:, 0]), (x[:, 0], y), (x[:, 0], y[:, 0]), (x, y.bool()), (x, y.to(torch.uint8))):
            torch.testing.assert_close(loss(a, b), expected)


def test_an_empty_batch_costs_nothing():
    for loss in MULTICLASS:
        assert loss(torch.zeros(0, 3, 4, 5), torch.zeros(0, 4, 5, dtype=torch.long)).item() == 0
    for loss in MAPS:
        assert loss(torch.zeros(0, 1, 4, 5), torch.zeros(0, 1, 4, 5)).item() == 0
