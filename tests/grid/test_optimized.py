"""The inference form of every architecture and of every family of encoders gives the original's numbers."""

from __future__ import annotations

import pytest
import torch
from fake_encoders import FakeTransformer
from settled import furthest, num_norms, settle
from torch import Tensor, nn

import smp_core

ARCHITECTURES = smp_core.list_architectures()

# One of each family that builds its own layers, and of timm's of several kinds.
ENCODERS = {
    "resnet18": 0,
    "resnext50_32x4d": 0,
    "vgg11_bn": 0,
    "densenet121": 62,  # a norm that stands before its convolution stays
    "mobilenet_v2": 0,
    "mobileone_s0": 0,
    "mit_b0": 0,
    "efficientnet-b0": 0,
    "timm-efficientnet-b0": 0,
    "timm-skresnet18": 0,
    "dpn68": 27,  # likewise
    "se_resnet50": 0,
    "xception": 0,
    "inceptionv4": 0,
    "tu-resnet18": 0,
    "tu-repvgg_a0": 0,
    "tu-convnext_atto": 0,
    "tu-test_vit": 0,
}
# Those with hundreds of layers, in the sweep.
_LARGE = (
    "efficientnet-b0",
    "tu-test_vit",
    "tu-resnet18",
    "timm-skresnet18",
    "resnext50_32x4d",
    "densenet121",
    "dpn68",
    "se_resnet50",
    "xception",
    "inceptionv4",
    "tu-repvgg_a0",
)


def build(architecture: str, encoder: str) -> nn.Module:
    torch.manual_seed(0)
    given: str | nn.Module = encoder
    if smp_core.describe(architecture).spec.tokens:
        given = FakeTransformer()
    model = smp_core.create(architecture, given, encoder_weights=None, classes=3, aux_params={"classes": 2})
    return settle(model)


def image(height: int, width: int, dtype: torch.dtype = torch.float32, seed: int = 3) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_same(fast: nn.Module, model: nn.Module, x: Tensor, tolerance: float) -> None:
    with torch.no_grad():
        for got, expected in zip(fast(x), model(x), strict=True):
            assert furthest(got, expected) < tolerance


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture(architecture: str) -> None:
    # In float64, where rounding is far below anything else that could go wrong; sizes that do not divide.
    model, x = build(architecture, "resnet18").double(), image(75, 61, torch.float64)
    fast = smp_core.optimize(model)
    # The linear head has a norm and no convolution before it.
    assert num_norms(fast) == (1 if architecture == "linear" else 0)
    assert_same(fast, model, x, 1e-11)
    assert fast(x)[0].is_contiguous()
    assert_same(smp_core.optimize(model, dtype=torch.float32), model, x.float().double(), 1e-4)


@pytest.mark.parametrize("architecture", ["unet", "segformer", "pspnet"])
def test_half_precision(architecture: str) -> None:
    model = build(architecture, "resnet18")
    fast = smp_core.optimize(model, dtype=torch.bfloat16)
    with torch.no_grad():
        got, expected = fast(image(64, 64)), model(image(64, 64))
    assert got[0].dtype == torch.bfloat16
    # Of numbers of 8 bits, through dozens of layers.
    assert furthest(got[0], expected[0]) < 0.1


@pytest.mark.parametrize(
    "encoder", [pytest.param(name, marks=[pytest.mark.slow] if name in _LARGE else []) for name in ENCODERS]
)
def test_every_family_of_encoders(encoder: str) -> None:
    model = build("unet", encoder).double()
    fast = smp_core.optimize(model)
    assert num_norms(fast) == ENCODERS[encoder]
    assert_same(fast, model, image(64, 96, torch.float64), 1e-10)
