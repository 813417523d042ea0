"""Whole DPTs of segmentation_models_pytorch 0.6.0 over plain transformers of timm: the same keys and numbers."""

from __future__ import annotations

import warnings

import pytest
import torch

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

# Class token, registers, none, distilled; patches of 8, 14, 16, 32; rotary, relative and absolute positions.
TRANSFORMERS = {
    "vit_tiny_patch16_224": {},
    "vit_small_patch8_224": {},
    "vit_small_patch32_224": {},
    "vit_small_patch16_dinov3": {},
    "deit_tiny_distilled_patch16_224": {},
    "vit_little_patch16_reg4_gap_256": {},
    "vit_medium_patch16_gap_240": {},
    "eva02_base_patch16_clip_224": {},
    "vit_base_patch16_siglip_224": {},
    "beit_base_patch16_224": {"fixed": 224},
    "vit_base_patch32_clip_224": {},
    "test_vit": {},
    "test_vit3": {},
}
SMALL = {"decoder_intermediate_channels": (16, 24, 32, 40), "decoder_fusion_channels": 32}


def pair(name, *, fixed=None, **options):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        freed = {} if fixed else {"dynamic_img_size": True}
        theirs = smp.DPT(f"tu-{name}", encoder_weights=None, **SMALL, **freed, **options).eval()
    parity.randomise_norms(theirs)
    ours = smp_core.create("dpt", f"tu-{name}", encoder_weights=None, **SMALL, **options).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_whole_models(name):
    fixed = TRANSFORMERS[name].get("fixed")
    ours, theirs = pair(name, fixed=fixed)
    patch = ours.encoder.reductions[0]
    height, width = (
        (fixed, fixed) if fixed else (4 * max(patch, 16) // patch * patch, 6 * patch * (2 if patch < 16 else 1))
    )
    x = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    parity.assert_same_numbers(ours, theirs, x, tolerance=1e-4)


@pytest.mark.parametrize(
    "name", ["vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2", "eva02_tiny_patch14_224"]
)
def test_patches_of_14(name):
    """The peer builds a DPT over these, and fails when it is run; its encoder works."""
    ours = smp_core.create_encoder(f"tu-{name}", weights=None, depth=4).eval()
    theirs = smp.DPT(f"tu-{name}", encoder_weights=None, dynamic_img_size=True).eval().encoder
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 3, 70, 98)
    with torch.no_grad():
        for mine, peers in zip(ours(x), theirs(x), strict=True):
            for one, other in zip(mine, peers, strict=True):
                assert torch.equal(one, other)


@pytest.mark.parametrize("readout", ["ignore", "add", "cat"])
@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "vit_medium_patch16_gap_240", "vit_little_patch16_reg4_gap_256"]
)
def test_readouts(name, readout):
    if readout != "cat" or name != "vit_medium_patch16_gap_240":
        ours, theirs = pair(name, decoder_readout=readout)
        parity.assert_same_numbers(ours, theirs, torch.randn(1, 3, 64, 96), tolerance=1e-4)


@pytest.mark.parametrize("indices", [[0, 1, 2, 3], [11, 2, 5, -4]], ids=str)
def test_output_indices(indices):
    ours, theirs = pair("vit_tiny_patch16_224", encoder_output_indices=indices)
    parity.assert_same_numbers(ours, theirs, torch.randn(1, 3, 64, 96), tolerance=1e-4)


def test_a_saved_model_of_the_peer_loads(tmp_path):
    _, theirs = pair("vit_tiny_patch16_224")
    theirs.save_pretrained(tmp_path)
    ours = smp_core.from_pretrained(tmp_path)
    parity.assert_same_numbers(ours, theirs, torch.randn(1, 3, 64, 96), tolerance=1e-4)


def test_the_peer_loads_a_saved_model(tmp_path):
    ours, theirs = pair("vit_tiny_patch16_224")
    ours.save_pretrained(tmp_path, format="smp")
    again = smp.from_pretrained(tmp_path).eval()
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.allclose(again(x), theirs(x), atol=1e-4)


def test_gradients():
    ours, theirs = pair("test_vit")
    parity.assert_same_gradients(ours, theirs, torch.randn(1, 3, 64, 64))
