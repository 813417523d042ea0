"""Losses compile into one graph, with the values and gradients that they have without."""

from __future__ import annotations

import pytest
import torch

import smp_losses

CASES = {
    **{
        f"{name}-{mode}": (name, {"mode": mode})
        for name in ("DiceLoss", "JaccardLoss", "TverskyLoss", "FocalLoss", "LovaszLoss", "MCCLoss")
        for mode in ("binary", "multiclass", "multilabel")
    },
    "SoftBCEWithLogitsLoss": ("SoftBCEWithLogitsLoss", {"smooth_factor": 0.1}),
    "SoftCrossEntropyLoss": ("SoftCrossEntropyLoss", {"smooth_factor": 0.1}),
}


def tensors(mode):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 1 if mode == "binary" else 3, 8, 9, generator=generator)
    shape = (2, 8, 9) if mode == "multiclass" else x.shape
    y = torch.randint(0, 3 if mode == "multiclass" else 2, shape, generator=generator)
    y[0, ..., :2] = 255
    return x, y


def check(loss, x, y):
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=False)
    results = []
    for call in (loss, compiled):
        leaf = x.clone().requires_grad_()
        value = call(leaf, y)
        value.backward()
        results.append((value.detach(), leaf.grad))
    torch.testing.assert_close(results[1], results[0])
    return compiled


@pytest.fixture(autouse=True)
def _forget():
    torch._dynamo.reset()


@pytest.mark.parametrize("case", CASES)
def test_one_graph(case):
    name, options = CASES[case]
    mode = options.get("mode", "multiclass" if name == "SoftCrossEntropyLoss" else "multilabel")
    if name == "MCCLoss":
        options = {**options, "from_logits": True}
    elif mode != "binary" and name != "SoftBCEWithLogitsLoss":
        options = {**options, "class_weights": [1.0, 2.0, 0.5]}
    check(getattr(smp_losses, name)(ignore_index=255, **options), *tensors(mode))


def test_a_sum():
    loss = 0.5 * smp_losses.DiceLoss("binary", ignore_index=255) + smp_losses.FocalLoss("binary", ignore_index=255)
    x, y = tensors("binary")
    compiled = check(loss, x, y)
    expected = {name: value.clone() for name, value in loss.parts.items()}
    loss.parts = {}
    compiled(x, y)
    torch.testing.assert_close(compiled.parts, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DiceLoss", "FocalLoss", "LovaszLoss"])
def test_with_the_default_backend(name):
    loss = getattr(smp_losses, name)("multiclass", ignore_index=255)
    x, y = tensors("multiclass")
    compiled = torch.compile(loss, fullgraph=True)
    torch.testing.assert_close(compiled(x, y), loss(x, y))
