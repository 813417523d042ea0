"""Losses whose score or mean a subclass overrides, as code written for segmentation_models_pytorch does."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest
import torch
from torch import Tensor

import smp_compat as smp

PEER = "segmentation_models_pytorch"
KINDS = ("DiceLoss", "TverskyLoss")


def data(mode: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 1 if mode == "binary" else 3, 6, 5, generator=generator, dtype=torch.float64)
    if mode == "multiclass":
        return scores, torch.randint(0, 3, (2, 6, 5), generator=generator)
    return scores, torch.randint(0, 2, scores.shape, generator=generator)


def recording(library: Any, kind: str) -> type[Any]:
    class Recording(getattr(library.losses, kind)):  # type: ignore[misc]
        def compute_score(self, output: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            score: Tensor = super().compute_score(output, target, *args, **kwargs)
            self.seen = [output.detach(), target.double(), kwargs, score.detach()]
            return score**2

        def aggregate_loss(self, loss: Tensor) -> Tensor:
            self.seen.append(loss.detach())
            return super().aggregate_loss(loss) + loss.max()  # type: ignore[no-any-return]

    return Recording


@pytest.mark.parity
@pytest.mark.skipif(importlib.util.find_spec(PEER) is None, reason="the peer is installed in the parity session only")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        *((mode, options) for mode in ("binary", "multiclass", "multilabel") for options in (
            {}, {"ignore_index": 1}, {"smooth": 1.0, "eps": 1e-3}, {"log_loss": True}, {"from_logits": False}
        )),
        ("multiclass", {"classes": [0, 2], "class_weights": [1.0, 2.0, 3.0]}),
        ("multilabel", {"class_weights": [1.0, 2.0, 3.0]}),
    ],
)  # fmt: skip
def test_they_are_given_what_the_peer_gives_them(kind: str, mode: str, options: dict[str, Any]) -> None:
    scores, target = data(mode)
    if not options.get("from_logits", True):
        scores = scores.softmax(1) if mode == "multiclass" else scores.sigmoid()
    results, seen = [], []
    for library in (importlib.import_module(PEER), smp):
        given = scores.clone().requires_grad_()
        loss = recording(library, kind)(mode, **options)
        value = loss(given, target)
        results.append([value.detach(), *torch.autograd.grad(value, given)])
        seen.append([*loss.seen])
    torch.testing.assert_close(results[1], results[0], rtol=1e-6, atol=1e-9)
    assert seen[1][2] == seen[0][2]
    for index in (0, 1, 3, 4):
        torch.testing.assert_close(seen[1][index], seen[0][index], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_one_that_only_passes_on_changes_nothing(kind: str, mode: str) -> None:
    base = getattr(smp.losses, kind)

    class Passing(base):  # type: ignore[misc, valid-type]
        calls = 0

        def aggregate_loss(self, loss: Tensor) -> Tensor:
            self.calls += 1
            return super().aggregate_loss(loss)  # type: ignore[no-any-return]

    scores, target = data(mode)
    for options in ({}, {"ignore_index": 1}, {"log_loss": True}):
        loss = Passing(mode, **options)
        torch.testing.assert_close(loss(scores, target), base(mode, **options)(scores, target))
        assert loss.calls == 1


def test_a_method_of_one_instance() -> None:
    scores, target = data("multiclass")
    loss = smp.losses.DiceLoss("multiclass")
    loss.compute_score = lambda output, target, smooth, eps, dims: output.mean(dims)  # type: ignore[method-assign]
    expected = (1 - scores.softmax(1).mean((0, 2, 3))).mean()
    torch.testing.assert_close(loss(scores, target), expected)


def test_a_wrong_number_of_weights_is_seen_there_too() -> None:
    loss = recording(smp, "DiceLoss")("multiclass", class_weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="2 class_weights were given, but y_pred has 3 classes"):
        loss(*data("multiclass"))
