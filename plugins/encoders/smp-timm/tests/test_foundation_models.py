"""Encoders that people take today, on random weights, under architectures that know nothing of transformers."""

from __future__ import annotations

import warnings

import pytest
import torch

import smp_core
from smp_core.errors import IncompatibleError

pytestmark = pytest.mark.slow

# The smallest of each kind.
ENCODERS = {
    "DINOv2": "tu-vit_small_patch14_dinov2",
    "DINOv3": "tu-vit_small_patch16_dinov3",
    "DINOv3 ConvNeXt": "tu-convnext_tiny",
    "SigLIP": "tu-vit_base_patch16_siglip_224",
    "BEiT": "tu-beit_base_patch16_224",
    "EVA": "tu-eva02_tiny_patch14_224",
    "SAM": "tu-samvit_base_patch16_224",
    "SAM 2": "tu-sam2_hiera_tiny",
    "CLIP": "tu-vit_base_patch32_clip_224",
    "AIM": "tu-aimv2_large_patch14_224",
}
ARCHITECTURES = ("unet", "fpn", "upernet", "segformer", "deeplabv3plus")
# Those over pyramids that timm cannot dilate.
REFUSED = {("SAM 2", "deeplabv3plus")}
CASES = [(kind, arch) for kind in ENCODERS for arch in ARCHITECTURES if (kind, arch) not in REFUSED]


@pytest.mark.parametrize(("kind", "arch"), CASES)
def test_trained_exported_saved_and_loaded(kind, arch, tmp_path):
    torch.manual_seed(0)
    model = smp_core.create(arch, ENCODERS[kind], encoder_weights=None, classes=2)
    x = torch.randn(2, 3, 75, 93)
    masks = model(x)
    assert masks.shape == (2, 2, 75, 93)
    masks.square().mean().backward()
    assert all(torch.isfinite(item.grad).all() for item in model.encoder.parameters() if item.grad is not None)
    model.eval()
    with torch.no_grad():
        wanted = model(x[:1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm's and torch's own
            exported = torch.export.export(model, (x[:1],)).module()
        torch.testing.assert_close(exported(x[:1]), wanted, atol=1e-4, rtol=1e-4)
        model.save_pretrained(tmp_path)
        again = smp_core.from_pretrained(tmp_path)
        assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
        torch.testing.assert_close(again(x[:1]), wanted, atol=1e-4, rtol=1e-4)  # memory may be aligned otherwise


@pytest.mark.parametrize(("kind", "arch"), sorted(REFUSED))
def test_refused_with_a_reason(kind, arch):
    with pytest.raises(IncompatibleError, match=r"asks for output stride 16; encoder '.*' cannot be dilated"):
        smp_core.create(arch, ENCODERS[kind], encoder_weights=None)
