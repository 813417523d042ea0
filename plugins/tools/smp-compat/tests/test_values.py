"""Losses, metrics, scores, meters, layers and preprocessing: the numbers of segmentation_models_pytorch 0.6.0."""

from __future__ import annotations

import importlib
import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import smp_compat

peer = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")]


def module(name: str) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"{peer.__name__}.{name}"), importlib.import_module(f"smp_compat.{name}")


def data(mode: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    classes = 1 if mode == "binary" else 3
    scores = torch.randn(2, classes, 6, 5, generator=generator, dtype=dtype)
    if mode == "multiclass":
        return scores, torch.randint(0, 3, (2, 6, 5), generator=generator)
    return scores, torch.randint(0, 2, scores.shape, generator=generator)


LOSSES: list[tuple[str, dict[str, Any]]] = [
    *(
        ("DiceLoss", {"mode": mode, **more})
        for mode in ("binary", "multiclass", "multilabel")
        for more in ({}, {"smooth": 1.0}, {"log_loss": True}, {"ignore_index": 0}, {"from_logits": False})
    ),
    *(
        ("JaccardLoss", {"mode": mode, **more})
        for mode in ("binary", "multiclass", "multilabel")
        for more in ({}, {"smooth": 1.0}, {"log_loss": True}, {"ignore_index": 0})
    ),
    *(
        ("TverskyLoss", {"mode": mode, "alpha": 0.3, "beta": 0.7, "gamma": g})
        for mode in ("binary", "multiclass")
        for g in (1.0, 1.5)
    ),
    *(
        ("FocalLoss", {"mode": mode, **more})
        for mode in ("binary", "multiclass")
        for more in (
            {},
            {"alpha": 0.3},
            {"gamma": 1.0},
            {"ignore_index": 0},
            {"normalized": True},
            {"reduced_threshold": 0.5},
            {"reduction": "sum"},
            {"reduction": "none"},
        )
    ),
    *(
        ("LovaszLoss", {"mode": mode, **more})
        for mode in ("binary", "multiclass")
        for more in ({}, {"per_image": True}, {"ignore_index": 0})
    ),
    ("SoftBCEWithLogitsLoss", {"smooth_factor": 0.1}),
    ("SoftBCEWithLogitsLoss", {"ignore_index": 0, "reduction": "sum"}),
    ("SoftCrossEntropyLoss", {"smooth_factor": 0.1}),
    ("SoftCrossEntropyLoss", {"smooth_factor": 0.1, "ignore_index": 0}),
    ("MCCLoss", {}),
]


@pytest.mark.parametrize(("name", "options"), LOSSES, ids=str)
def test_a_loss(name: str, options: dict[str, Any]) -> None:
    default = "multiclass" if name == "SoftCrossEntropyLoss" else "binary"
    # Theirs sums Lovasz's in float32, whatever it is given.
    scores, target = data(options.get("mode", default), torch.float32 if name == "LovaszLoss" else torch.float64)
    if name == "MCCLoss":
        scores = scores.sigmoid()
    if not options.get("from_logits", True):
        scores = scores.softmax(1) if options["mode"] == "multiclass" else scores.sigmoid()
    if name in ("SoftBCEWithLogitsLoss", "MCCLoss"):
        target = target.double()
    results = []
    for library in (peer, smp_compat):
        given = scores.clone().requires_grad_()
        value = getattr(library.losses, name)(**options)(given, target)
        (gradient,) = torch.autograd.grad(value.sum(), given)
        results.append((value.detach(), gradient))
    for expected, found in zip(*results, strict=True):
        tolerance = {"rtol": 1e-5, "atol": 1e-6} if name == "LovaszLoss" else {"rtol": 1e-6, "atol": 1e-9}
        torch.testing.assert_close(found, expected, **tolerance, check_dtype=False)


FUNCTIONS: list[tuple[str, dict[str, Any]]] = [
    *(("focal_loss_with_logits", options) for options in (
        {}, {"alpha": None}, {"gamma": 1.0}, {"normalized": True}, {"reduced_threshold": 0.5}, {"reduction": "sum"},
        {"reduction": "batchwise_mean"}, {"reduction": "none"},
    )),
    *(("softmax_focal_loss_with_logits", options) for options in (
        {}, {"normalized": True}, {"reduced_threshold": 0.5}, {"reduction": "sum"}, {"reduction": "batchwise_mean"},
    )),
    *((name, options) for name in ("soft_dice_score", "soft_jaccard_score") for options in (
        {}, {"smooth": 1.0}, {"dims": (0, 2)}, {"eps": 100.0}
    )),
    ("soft_tversky_score", {"alpha": 0.3, "beta": 0.6}),
    ("soft_tversky_score", {"alpha": 0.3, "beta": 0.6, "smooth": 2.0, "dims": (1, 2, 3)}),
    *(("wing_loss", options) for options in ({}, {"width": 1, "curvature": 0.2}, {"reduction": "sum"})),
    *(("label_smoothed_nll_loss", {"epsilon": 0.1, "dim": 1, **options}) for options in (
        {}, {"ignore_index": 1}, {"reduction": "sum"}, {"reduction": "none"}, {"reduction": "none", "ignore_index": 1}
    )),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), FUNCTIONS, ids=str)
def test_what_losses_are_made_of(name: str, options: dict[str, Any]) -> None:
    theirs, ours = module("losses._functional")
    scores, target = data("multiclass" if name.startswith(("softmax", "label")) else "multilabel")
    if name.startswith("soft_"):
        scores, target = scores.sigmoid(), target.double()
    elif name.startswith("label"):
        scores = scores.log_softmax(1)
    elif name == "wing_loss":
        scores, target = scores * 5, target.double()
    expected = getattr(theirs, name)(scores.clone(), target.clone(), **options)
    torch.testing.assert_close(getattr(ours, name)(scores, target, **options), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("value", [[1, 2], (1.5, 2), np.arange(3), torch.arange(3)], ids=str)
def test_to_tensor(value: Any) -> None:
    theirs, ours = module("losses._functional")
    for dtype in (None, torch.float32):
        expected = theirs.to_tensor(value, dtype)
        assert torch.equal(ours.to_tensor(value, dtype), expected)
        assert ours.to_tensor(value, dtype).dtype == expected.dtype


@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_metrics(mode: str) -> None:
    scores, target = data(mode)
    if mode == "multiclass":
        given, options = scores.argmax(1), {"num_classes": 3}
    else:
        given, options = scores.sigmoid(), {"threshold": 0.5}
    expected = peer.metrics.get_stats(given, target, mode=mode, **options)
    counts = smp_compat.metrics.get_stats(given, target, mode=mode, **options)
    assert all(torch.equal(first, second) for first, second in zip(expected, counts, strict=True))
    names = [name for name in smp_compat.metrics.__all__ if name != "get_stats"]
    assert len(names) == 17
    reductions = ("micro", "macro", "micro-imagewise", "macro-imagewise", None)
    for name, reduction in itertools.product(names, reductions):
        first = getattr(peer.metrics, name)(*expected, reduction=reduction)
        second = getattr(smp_compat.metrics, name)(*counts, reduction=reduction)
        torch.testing.assert_close(second, first, rtol=1e-6, atol=1e-7, check_dtype=False, msg=f"{name}, {reduction}")


@pytest.mark.parametrize("reduction", ["micro", "macro", "none", None])
@pytest.mark.parametrize("sum_over", [0, (0, 1)])
def test_counts_that_were_summed(sum_over: Any, reduction: str | None) -> None:
    generator = torch.Generator().manual_seed(0)
    counts = [torch.randint(0, 9, (4, 3), generator=generator).sum(sum_over) for _ in range(4)]
    for name in ("iou_score", "f1_score", "recall", "balanced_accuracy"):
        expected = getattr(peer.metrics, name)(*counts, reduction=reduction)
        found = getattr(smp_compat.metrics, name)(*counts, reduction=reduction)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7, check_dtype=False)


UTILS: list[tuple[str, str, dict[str, Any]]] = [
    *(("losses", name, options) for name in ("DiceLoss", "JaccardLoss") for options in (
        {}, {"eps": 0.1}, {"activation": "sigmoid"}, {"ignore_channels": [0]}
    )),
    ("losses", "BCELoss", {}),
    ("losses", "MSELoss", {}),
    *(("metrics", name, options) for name in ("IoU", "Fscore", "Accuracy", "Recall", "Precision") for options in (
        {}, {"threshold": 0.3}, {"activation": "sigmoid"}, {"ignore_channels": [1]}, {"name": "mine"}
    )),
]  # fmt: skip


@pytest.mark.parametrize(("where", "name", "options"), UTILS, ids=str)
def test_the_old_trainer(where: str, name: str, options: dict[str, Any]) -> None:
    theirs, ours = (getattr(library, name)(**options) for library in module(f"utils.{where}"))
    scores, target = data("multilabel")
    scores, target = (scores if "activation" in options else scores.sigmoid()), target.double()
    assert ours.__name__ == theirs.__name__
    torch.testing.assert_close(ours(scores, target), theirs(scores, target), rtol=1e-9, atol=1e-12, check_dtype=False)


def test_names_of_composed_losses() -> None:
    names = []
    for library in module("utils.losses"):
        dice, bce = library.DiceLoss(), library.BCELoss()
        composed = (dice + bce, dice * 2, 0.5 * (dice + bce), dice + 0.5 * bce, library.JaccardLoss(name="j") + dice)
        names.append([item.__name__ for item in composed])
    assert names[0] == names[1]


def test_meters_and_epochs() -> None:
    results = []
    for library in module("utils.train"):
        utils = importlib.import_module(library.__name__.rpartition(".")[0])
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Sigmoid())
        generator = torch.Generator().manual_seed(1)
        batches = [(image, (image > 0.5).float()) for image in torch.rand(4, 2, 1, 8, 8, generator=generator)]
        metrics = [utils.metrics.IoU(threshold=0.5), utils.metrics.Accuracy()]
        loss = utils.losses.DiceLoss() + utils.losses.BCELoss()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        train = library.TrainEpoch(model, loss=loss, metrics=metrics, optimizer=optimizer, verbose=False)
        valid = library.ValidEpoch(model, loss=loss, metrics=metrics, verbose=False)
        logs = [epoch.run(batches) for epoch in (train, train, valid)]
        results.append([{key: float(value) for key, value in log.items()} for log in logs])
        meter = utils.meter.AverageValueMeter()
        for value, count in ((1.0, 1), (6.0, 2), (4.0, 1)):
            meter.add(value, count)
        results[-1].append(dict(zip(("mean", "std"), map(float, meter.value()), strict=True)))
    for theirs, ours in zip(*results, strict=True):
        assert theirs.keys() == ours.keys()
        assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("name", ["resnet34", "xception", "inceptionv4", "vgg11"])
def test_preprocessing(name: str) -> None:
    """Theirs asks the Hub for the parameters; the function is called with ours."""
    theirs, ours = module("encoders._preprocessing")
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3)).astype("uint8")
    options = smp_compat.encoders.get_preprocessing_params(name, "imagenet")
    for more in ({}, {"input_space": "BGR"}, {"mean": None}, {"std": None}, {"unknown": 1}):
        for given in (image, image / 255.0):
            expected = theirs.preprocess_input(given, **{**options, **more})
            np.testing.assert_allclose(ours.preprocess_input(given, **{**options, **more}), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["sigmoid", "softmax2d", "logsoftmax", "tanh", "argmax2d", "clamp", "identity", None])
def test_activations(name: str | None) -> None:
    theirs, ours = module("base.modules")
    scores = data("multilabel")[0]
    options = {"dim": 1} if name == "logsoftmax" else {}
    expected = theirs.Activation(name, **options)(scores)
    torch.testing.assert_close(ours.Activation(name, **options)(scores), expected)


@pytest.mark.parametrize("norm", ["batchnorm", "identity", "instancenorm", {"type": "batchnorm", "eps": 1.0}])
def test_layers(norm: Any) -> None:
    theirs, ours = module("base.modules")
    expected, found = (library.Conv2dReLU(3, 4, 3, padding=1, use_norm=norm) for library in (theirs, ours))
    assert expected.state_dict().keys() == found.state_dict().keys()
    found.load_state_dict(expected.state_dict())
    image = data("multilabel")[0].float()
    torch.testing.assert_close(found(image), expected(image))
    expected, found = (library.Attention("scse", in_channels=32) for library in (theirs, ours))
    found.load_state_dict(expected.state_dict())
    image = torch.rand(1, 32, 5, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found(image), expected(image), rtol=1e-5, atol=1e-6)
