"""Losses are added and scaled, and their parts can be read."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
import torch
from torch import nn

import smp_losses
from smp_losses import DiceLoss, FocalLoss, LossSum, SoftBCEWithLogitsLoss


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 1, 4, 5, generator=generator)
    return x, torch.randint(0, 2, x.shape, generator=generator).float()


def test_a_weighted_sum(tensors):
    dice, focal = DiceLoss("binary"), FocalLoss("binary")
    loss = 0.5 * dice + focal
    assert isinstance(loss, nn.Module)
    torch.testing.assert_close(loss(*tensors), 0.5 * dice(*tensors) + focal(*tensors))
    assert loss.weights == {"dice": 0.5, "focal": 1.0}
    assert list(loss.losses) == [dice, focal]
    assert loss.extra_repr() == "0.5 * dice + 1 * focal"


def test_parts_are_read_by_name(tensors):
    dice, focal = DiceLoss("binary"), FocalLoss("binary")
    loss = 0.5 * dice + focal * 2
    assert loss.parts == {}
    x = tensors[0].requires_grad_()
    loss(x, tensors[1]).backward()
    assert list(loss.parts) == loss.names == ["dice", "focal"]
    torch.testing.assert_close(loss.parts["dice"], dice(*tensors).detach())
    assert not loss.parts["focal"].requires_grad


def test_sums_are_taken_apart(tensors):
    a, b = DiceLoss("binary"), FocalLoss("binary")
    loss = 2 * (0.5 * a + b) + DiceLoss("binary", log_loss=True) * 3
    assert loss.weights == {"dice": 1.0, "focal": 2.0, "dice_2": 3.0}
    assert (sum([a, b])).weights == {"dice": 1.0, "focal": 1.0}
    # What was added stays as it was.
    half = 0.5 * a
    assert (half + b).weights == {"dice": 0.5, "focal": 1.0}
    assert half.weights == {"dice": 0.5}


def test_a_part_can_have_a_name_of_its_own():
    border = DiceLoss("binary")
    border.name = "border"
    assert (border + DiceLoss("binary")).names == ["border", "dice"]


def test_any_module_can_be_a_part(tensors):
    foreign = nn.BCEWithLogitsLoss()
    for loss in (foreign + DiceLoss("binary"), LossSum(foreign, DiceLoss("binary"))):
        assert loss.names == ["BCEWithLogitsLoss", "dice"]
        torch.testing.assert_close(loss(*tensors), foreign(*tensors) + DiceLoss("binary")(*tensors))


def test_names_of_all():
    losses = {
        "dice": DiceLoss("binary"),
        "jaccard": smp_losses.JaccardLoss("binary"),
        "tversky": smp_losses.TverskyLoss("binary"),
        "focal": FocalLoss("binary"),
        "lovasz": smp_losses.LovaszLoss("binary"),
        "mcc": smp_losses.MCCLoss(),
        "soft_bce": SoftBCEWithLogitsLoss(),
        "soft_ce": smp_losses.SoftCrossEntropyLoss(),
    }
    assert sum(losses.values()).names == list(losses)


def test_a_sum_is_a_module_like_others(tensors):
    loss = 0.5 * DiceLoss("binary") + SoftBCEWithLogitsLoss(weight=torch.ones(1))
    value = loss(*tensors)
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), loss.to(torch.float64).to(torch.float32)):
        torch.testing.assert_close(other(*tensors), value)
    assert list(loss.state_dict()) == ["losses.1.weight"]


def test_class_weights_follow_the_module():
    loss = DiceLoss("multiclass", class_weights=[1, 2]) + FocalLoss("multiclass", class_weights=[1, 2])
    loss.to("meta")
    assert all(buffer.device.type == "meta" for buffer in loss.buffers())


def test_what_is_refused():
    loss = DiceLoss("binary")
    with pytest.raises(TypeError, match=re.escape("unsupported operand type(s) for +: 'DiceLoss' and 'int'")):
        loss + 1
    for factor in ("2", True, torch.tensor(2.0)):
        with pytest.raises(TypeError, match=r"unsupported operand|can't multiply|must be Tensor"):
            loss * factor
    with pytest.raises(ValueError, match="a loss can be multiplied by a finite number, got nan"):
        loss * float("nan")
    with pytest.raises(TypeError, match=re.escape("LossSum: a part must be a torch.nn.Module, got str")):
        LossSum("dice")


def test_public_names():
    assert smp_losses.__all__ == [
        "BINARY_MODE",
        "MULTICLASS_MODE",
        "MULTILABEL_MODE",
        "DiceLoss",
        "FocalLoss",
        "JaccardLoss",
        "Loss",
        "LossSum",
        "LovaszLoss",
        "MCCLoss",
        "SoftBCEWithLogitsLoss",
        "SoftCrossEntropyLoss",
        "TverskyLoss",
        "set_label_checks",
    ]
