"""The old trainer: epochs, losses that are added and multiplied, metrics and meters."""

from __future__ import annotations

import importlib
import math
import re

import pytest
import torch
from torch import nn

from smp_core.errors import OptionError

pytestmark = pytest.mark.filterwarnings("ignore:smp_compat.utils is deprecated:DeprecationWarning")


def test_it_is_deprecated() -> None:
    import smp_compat.utils

    with pytest.warns(DeprecationWarning, match=r"^smp_compat\.utils is deprecated, as segmentation_models_pytorch"):
        importlib.reload(smp_compat.utils)


def batches(count: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(2, 1, 8, 8, generator=generator) for _ in range(count)]
    return [(image, (image > 0.5).float()) for image in images]


def test_training_and_validation(capsys: pytest.CaptureFixture[str]) -> None:
    from smp_compat import utils

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sigmoid())
    loss, metrics = utils.losses.BCELoss(), [utils.metrics.IoU(threshold=0.5), utils.metrics.Fscore()]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    train = utils.train.TrainEpoch(model, loss=loss, metrics=metrics, optimizer=optimizer, verbose=False)
    valid = utils.train.ValidEpoch(model, loss=loss, metrics=metrics, verbose=False)
    first = train.run(batches())
    for _ in range(40):
        train.run(batches())
    last = valid.run(batches())
    assert set(first) == {"bce_loss", "iou_score", "fscore"}
    assert last["bce_loss"] < first["bce_loss"]
    assert last["iou_score"] > 0.9
    assert not model.training
    assert capsys.readouterr().out == ""
    shown = utils.train.TrainEpoch(model, loss=loss, metrics=metrics, optimizer=optimizer)
    shown.run(batches())
    assert re.search(r"train: 100%.*3/3.*, bce_loss - 0\.\d+, iou_score - \d", capsys.readouterr().out)


def test_losses_are_added_and_multiplied() -> None:
    from smp_compat.utils import losses

    prediction, target = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4).round()
    dice, bce = losses.DiceLoss(), losses.BCELoss()
    both = dice + 0.5 * bce
    assert both.__name__ == "dice_loss + 0.5 * bce_loss"
    torch.testing.assert_close(both(prediction, target), dice(prediction, target) + 0.5 * bce(prediction, target))
    assert ((dice + bce) * 2).__name__ == "2 * (dice_loss + bce_loss)"
    with pytest.raises(OptionError, match=r"^a loss can only be added to a smp_compat\.utils\.base\.Loss, not to 1$"):
        dice + 1
    with pytest.raises(OptionError, match=r"^a loss can only be multiplied by a number, not by 'x'$"):
        dice * "x"


def test_the_mean_of_a_meter() -> None:
    from smp_compat.utils.meter import AverageValueMeter

    meter = AverageValueMeter()
    assert math.isnan(meter.value()[0])
    for value in (1.0, 2.0, 6.0):
        meter.add(value)
    assert meter.value() == (3.0, pytest.approx(math.sqrt(7)))
    meter.reset()
    meter.add(5.0)
    assert meter.value() == (5.0, math.inf)
