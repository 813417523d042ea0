"""First and second derivatives in float64, and finite ones where logits are extreme."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import smp_losses
from smp_losses.focal_terms import FocalOptions, _plain_index_sums, index_sums
from smp_losses.lovasz_extension import _plain, softmax_lovasz

MODES = ["binary", "multiclass", "multilabel"]

CASES = {
    **{
        f"{name}-{mode}": (name, {"mode": mode}) for name in ("DiceLoss", "JaccardLoss", "LovaszLoss") for mode in MODES
    },
    **{f"TverskyLoss-{mode}": ("TverskyLoss", {"mode": mode, "alpha": 0.3, "gamma": 0.75}) for mode in MODES},
    **{f"MCCLoss-{mode}": ("MCCLoss", {"mode": mode, "from_logits": True}) for mode in MODES},
    **{f"FocalLoss-{mode}": ("FocalLoss", {"mode": mode}) for mode in MODES},
    "FocalLoss-alpha": ("FocalLoss", {"mode": "multiclass", "alpha": 0.3, "gamma": 0.5}),
    "FocalLoss-gamma-0": ("FocalLoss", {"mode": "multiclass", "gamma": 0.0}),
    "FocalLoss-threshold": ("FocalLoss", {"mode": "multiclass", "reduced_threshold": 0.4}),
    "FocalLoss-normalized": ("FocalLoss", {"mode": "multiclass", "normalized": True}),
    "DiceLoss-log": ("DiceLoss", {"mode": "multiclass", "log_loss": True, "smooth": 0.5}),
    "LovaszLoss-per-image": ("LovaszLoss", {"mode": "multiclass", "per_image": True}),
    "SoftBCEWithLogitsLoss": ("SoftBCEWithLogitsLoss", {"smooth_factor": 0.1}),
    "SoftCrossEntropyLoss": ("SoftCrossEntropyLoss", {"smooth_factor": 0.1}),
    "SoftCrossEntropyLoss-weights": ("SoftCrossEntropyLoss", {"smooth_factor": 0.1, "class_weights": [1, 2, 3]}),
}
IGNORED = 255


def build(case):
    name, options = CASES[case]
    return getattr(smp_losses, name)(**{"ignore_index": IGNORED, **options})


def inputs(case, dtype=torch.float64, size=(3, 3), seed=0):
    generator = torch.Generator().manual_seed(seed)
    name, options = CASES[case]
    mode = options.get("mode", "multiclass" if name == "SoftCrossEntropyLoss" else "multilabel")
    channels = 1 if mode == "binary" else 3
    x = torch.randn(2, channels, *size, dtype=torch.float64, generator=generator)
    shape = (2, *size) if mode == "multiclass" else x.shape
    y = torch.randint(0, 3 if mode == "multiclass" else 2, shape, generator=generator)
    y[torch.rand(shape, generator=generator) < 0.2] = IGNORED
    return x.to(dtype).requires_grad_(), y


@pytest.mark.parametrize("case", CASES)
def test_gradcheck(case):
    loss, (x, y) = build(case), inputs(case)
    assert gradcheck(lambda value: loss(value, y), (x,), atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_second_derivatives(case):
    loss, (x, y) = build(case), inputs(case)
    assert gradgradcheck(lambda value: loss(value, y), (x,), atol=1e-6)


def test_the_sorted_float32_path_has_the_gradients_of_the_plain_one():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 300, generator=generator, requires_grad=True)
    y = torch.randint(0, 5, (2, 300), generator=generator)
    valid = torch.rand(2, 300, generator=generator) < 0.8
    for per_image, groups in ((False, 1), (True, 2)):
        shares = torch.rand(groups, 5, generator=generator)
        ours = softmax_lovasz(x, y, valid, shares, per_image, True)
        plain = _plain(x.softmax(1), y.masked_fill(~valid, 0), valid, shares, per_image)
        torch.testing.assert_close(ours, plain)
        a, b = (torch.autograd.grad(value, x)[0] for value in (ours, plain))
        torch.testing.assert_close(a, b, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("threshold", [None, 0.4])
@pytest.mark.parametrize("alpha", [None, 0.3])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_closed_form_of_focal_has_the_gradients_of_the_plain_one(gamma, alpha, threshold):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(2, 5, 300, generator=generator) * 10).requires_grad_()
    y = torch.randint(0, 5, (2, 300), generator=generator)
    valid = torch.rand(2, 300, generator=generator) < 0.8
    options = FocalOptions(alpha, gamma, threshold)
    ours, plain = index_sums(x, y, valid, options), _plain_index_sums(x, y, valid, options)
    torch.testing.assert_close(ours, plain)
    weights = torch.arange(1.0, 6)
    a, b = (torch.autograd.grad((value * weights).sum(), x)[0] for value in (ours, plain))
    torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_extreme_logits_in_half_precision(case, dtype):
    loss, (x, y) = build(case), inputs(case, dtype, size=(64, 64))
    for extreme in (x.detach().sign() * 1e4, torch.full_like(x, 1e4), torch.full_like(x, -1e4)):
        extreme = extreme.detach().requires_grad_()
        value = loss(extreme, y)
        value.backward()
        assert value.dtype == torch.float32
        assert value.isfinite()
        assert extreme.grad is not None
        assert extreme.grad.dtype == dtype
        assert extreme.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_half_precision_is_summed_in_float32(case, dtype):
    loss, (x, y) = build(case), inputs(case, dtype, size=(300, 300))
    torch.testing.assert_close(loss(x, y), loss(x.double(), y).float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_everything_ignored_is_nothing_lost(case):
    loss, (x, y) = build(case), inputs(case)
    value = loss(x, torch.full_like(y, IGNORED))
    value.backward()
    assert value.item() == 0
    assert x.grad is not None
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize("case", CASES)
def test_ignored_pixels_have_no_gradient_and_no_share(case):
    loss, (x, y) = build(case), inputs(case)
    value = loss(x, y)
    (gradient,) = torch.autograd.grad(value, x)
    ignored = (y == IGNORED).unsqueeze(1).expand_as(x) if y.ndim < x.ndim else y == IGNORED
    assert ignored.any()
    assert torch.equal(gradient[ignored], torch.zeros_like(gradient[ignored]))
    torch.testing.assert_close(loss(torch.where(ignored, 7.0, x), y), value)


@pytest.mark.parametrize("threshold", [None, 0.4])
@pytest.mark.parametrize("alpha", [None, 0.3])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_hard_labels_have_the_values_of_soft_ones(gamma, alpha, threshold):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(2, 3, 200, generator=generator) * 10).requires_grad_()
    y = torch.randint(0, 2, x.shape, generator=generator).float()
    loss = smp_losses.FocalLoss("multilabel", alpha, gamma, reduced_threshold=threshold, reduction="sum")
    # One pixel with a soft label takes the other path for all of them.
    soft = torch.cat([y, torch.full((2, 3, 1), 0.5)], 2)
    more = torch.cat([x, torch.zeros(2, 3, 1)], 2)
    alone = loss(torch.zeros(2, 3, 1), torch.full((2, 3, 1), 0.5))
    ours, plain = loss(x, y), loss(more, soft) - alone
    torch.testing.assert_close(ours, plain)
    a, b = (torch.autograd.grad(value, x)[0] for value in (ours, plain))
    torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_long_sums_in_float32_keep_their_digits():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 5, 512, 512, generator=generator) * 3
    y = torch.randint(0, 5, (1, 512, 512), generator=generator)
    for name in ("DiceLoss", "FocalLoss"):
        loss = getattr(smp_losses, name)("multiclass")
        assert loss(x, y).item() == pytest.approx(loss(x.double(), y).item(), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.1, 0.75])
def test_tversky_has_a_finite_slope_at_0(gamma):
    x = torch.full((1, 1, 4, 4), 200.0, requires_grad=True)
    value = smp_losses.TverskyLoss("binary", gamma=gamma)(x, torch.ones(1, 1, 4, 4))
    value.backward()
    assert value.item() == 0
    assert x.grad is not None
    assert x.grad.isfinite().all()
