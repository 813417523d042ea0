"""What training loops do to losses: autocast, evaluation without gradients, odd memory layouts, two backward passes."""

from __future__ import annotations

import pytest
import torch

import smp_losses

LOSSES = {
    **{
        f"{name}-{mode}": (name, {"mode": mode})
        for name in ("DiceLoss", "JaccardLoss", "TverskyLoss", "FocalLoss", "LovaszLoss")
        for mode in ("binary", "multiclass", "multilabel")
    },
    **{f"MCCLoss-{mode}": ("MCCLoss", {"mode": mode, "from_logits": True}) for mode in ("binary", "multiclass")},
    "SoftBCEWithLogitsLoss": ("SoftBCEWithLogitsLoss", {"smooth_factor": 0.1}),
    "SoftCrossEntropyLoss": ("SoftCrossEntropyLoss", {"smooth_factor": 0.1}),
}


@pytest.fixture(params=LOSSES)
def setting(request):
    """A loss, logits that ask for a gradient, and labels."""
    name, options = LOSSES[request.param]
    mode = options.get("mode", "multiclass" if name == "SoftCrossEntropyLoss" else "multilabel")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 1 if mode == "binary" else 3, 8, 9, generator=generator).requires_grad_()
    shape = (2, 8, 9) if mode == "multiclass" else x.shape
    y = torch.randint(0, 3 if mode == "multiclass" else 2, shape, generator=generator)
    y[0, ..., :2] = 255
    return getattr(smp_losses, name)(ignore_index=255, **options), x, y


def test_autocast_changes_nothing(setting):
    loss, x, y = setting
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(x, y)
    torch.testing.assert_close(value, loss(x, y))


def test_without_gradients(setting):
    loss, x, y = setting
    expected = loss(x, y)
    with torch.no_grad():
        assert not loss(x, y).requires_grad
        torch.testing.assert_close(loss(x, y), expected.detach())
    with torch.inference_mode():
        torch.testing.assert_close(loss(x, y), expected.detach())


def test_inputs_stay_as_they_are(setting):
    loss, x, y = setting
    before = x.detach().clone(), y.clone()
    loss(x, y).backward()
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


def test_memory_layouts(setting):
    loss, x, y = setting
    value = loss(x, y)
    (gradient,) = torch.autograd.grad(value, x)
    other = x.detach().to(memory_format=torch.channels_last).requires_grad_()
    torch.testing.assert_close(loss(other, y), value)
    (other_gradient,) = torch.autograd.grad(loss(other, y), other)
    torch.testing.assert_close(other_gradient, gradient)
    flipped = y.flip(-1).contiguous().flip(-1).transpose(-1, -2).contiguous().transpose(-1, -2)
    torch.testing.assert_close(loss(x, flipped), value)


def test_two_backward_passes(setting):
    loss, x, y = setting
    value = loss(x, y)
    first, second = (torch.autograd.grad(value * 3, x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, torch.autograd.grad(loss(x, y), x)[0] * 3)


def test_label_dtypes(setting):
    loss, x, y = setting
    for dtype in (torch.uint8, torch.int16, torch.int32):
        torch.testing.assert_close(loss(x, y.to(dtype)), loss(x, y))
