"""A pixel that is ignored does not count, whatever its logit; and labels are compared before anything wraps."""

from __future__ import annotations

import math
import re

import pytest
import torch

import smp_losses
from smp_losses import DiceLoss, FocalLoss, SoftCrossEntropyLoss

SETTINGS = {
    **{
        f"{name}-{mode}": (name, {"mode": mode, **options})
        for name, options in (
            ("DiceLoss", {}),
            ("JaccardLoss", {}),
            ("TverskyLoss", {"log_loss": True}),
            ("FocalLoss", {}),
            ("LovaszLoss", {}),
            ("MCCLoss", {"from_logits": True}),
        )
        for mode in ("binary", "multiclass", "multilabel")
    },
    "FocalLoss-normalized": ("FocalLoss", {"mode": "multiclass", "normalized": True}),
    "FocalLoss-threshold": ("FocalLoss", {"mode": "binary", "reduced_threshold": 0.5, "alpha": 0.3}),
    "FocalLoss-elements": ("FocalLoss", {"mode": "multilabel", "reduction": "none"}),
    "LovaszLoss-images": ("LovaszLoss", {"mode": "multiclass", "per_image": True}),
    "SoftBCEWithLogitsLoss": ("SoftBCEWithLogitsLoss", {"smooth_factor": 0.1}),
    "SoftBCEWithLogitsLoss-elements": ("SoftBCEWithLogitsLoss", {"reduction": "none"}),
    "SoftCrossEntropyLoss": ("SoftCrossEntropyLoss", {"smooth_factor": 0.1}),
    "SoftCrossEntropyLoss-weights": ("SoftCrossEntropyLoss", {"class_weights": [1.0, 2.0, 3.0]}),
}


def batch(name, options, seed=0, images=2):
    mode = options.get("mode", "multiclass" if name == "SoftCrossEntropyLoss" else "multilabel")
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(images, 1 if mode == "binary" else 3, 8, 9, generator=generator, dtype=torch.float64)
    shape = (images, 8, 9) if mode == "multiclass" else x.shape
    y = torch.randint(0, 3 if mode == "multiclass" else 2, shape, generator=generator)
    y[0, ..., :2] = 255
    return x, y, mode


@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e38])
@pytest.mark.parametrize("smp_values", [False, True])
def test_logits_of_ignored_pixels(key, value, smp_values):
    name, options = SETTINGS[key]
    x, y, mode = batch(name, options)
    loss = getattr(smp_losses, name)(ignore_index=255, smp_values=smp_values, **options)
    ignored = (y == 255).unsqueeze(1).expand_as(x) if mode == "multiclass" else y == 255
    for dtype in (torch.float64, torch.float32):
        clean = x.to(dtype).requires_grad_()
        dirty = x.to(dtype).masked_fill(ignored, value).requires_grad_()
        expected, found = loss(clean, y), loss(dirty, y)
        torch.testing.assert_close(found, expected)
        (wanted,) = torch.autograd.grad(expected.sum(), clean)
        (given,) = torch.autograd.grad(found.sum(), dirty)
        torch.testing.assert_close(given, wanted)
        assert (given[ignored] == 0).all()


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64]
)
@pytest.mark.parametrize("key", SETTINGS)
def test_dtypes_of_labels(key, dtype):
    name, options = SETTINGS[key]
    x, y, _ = batch(name, options)
    y = y.masked_fill(y == 255, 100)
    loss = getattr(smp_losses, name)(ignore_index=100, **options)
    torch.testing.assert_close(loss(x, y.to(dtype)), loss(x, y))


def test_a_label_that_an_unsigned_dtype_cannot_hold_ignores_nothing():
    """-1 must not wrap around to 255."""
    x, y = torch.zeros(1, 1, 2, 2), torch.tensor([[[[0, 1], [1, 255]]]], dtype=torch.uint8)
    message = "y_true must lie within 0 and 1, or -1 for what is ignored; got values from 0 to 255"
    for loss in (DiceLoss("binary", ignore_index=-1), FocalLoss("binary", ignore_index=-1)):
        with pytest.raises(ValueError, match=re.escape(message)):
            loss(x, y)
        kept = loss(x, y.clamp(max=1))
        torch.testing.assert_close(kept, loss(x, y.clamp(max=1).long()))
    entropy = SoftCrossEntropyLoss(ignore_index=-100)
    logits, labels = torch.randn(1, 200, 2, 2), torch.tensor([[[0, 1], [1, 156]]], dtype=torch.uint8)
    torch.testing.assert_close(entropy(logits, labels), torch.nn.functional.cross_entropy(logits, labels.long()))


@pytest.mark.parametrize("key", SETTINGS)
def test_transforms_of_functions(key):
    """`torch.func` sees the formula: gradients, directional derivatives, and maps over batches."""
    name, options = SETTINGS[key]
    x, y, _ = batch(name, options)
    loss = getattr(smp_losses, name)(ignore_index=255, **options)

    def value(x):
        return loss(x, y).sum()

    expected = torch.autograd.functional.vjp(value, x)[1]
    torch.testing.assert_close(torch.func.grad(value)(x), expected)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    _, slope = torch.func.jvp(value, (x,), (direction,))
    torch.testing.assert_close(slope, (expected * direction).sum())
    several = torch.stack([x, x + 0.1 * direction])
    mapped = torch.func.vmap(value)(several)
    torch.testing.assert_close(mapped, torch.stack([value(item) for item in several]))
