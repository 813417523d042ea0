"""timm's models against segmentation_models_pytorch 0.6.0's ``tu-`` encoders: the same keys, features and masks."""

from __future__ import annotations

import warnings

import pytest
import torch

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

# One or two of each family of which the peer takes any, small ones; sizes that the peer takes.
PYRAMIDS = [
    *("test_byobnet", "test_convnext", "test_efficientnet", "test_nfnet", "test_resnet", "resnet18", "resnet26d"),
    *("convnext_atto", "convnextv2_atto", "edgenext_xx_small", "efficientnet_b0", "mobilenetv2_050", "mnasnet_050"),
    *(
        "mobilenetv3_small_050",
        "tf_mobilenetv3_small_minimal_100",
        "hardcorenas_a",
        "lcnet_035",
        "tinynet_e",
        "fbnetc_100",
    ),
    *("regnetx_002", "regnety_002", "regnetz_005", "gernet_s", "repvgg_a0", "resnest14d", "res2net50d", "skresnet18"),
    *("hrnet_w18_small", "dla34", "dla46_c", "tresnet_m", "densenet121", "dpn48b", "vovnet39a", "selecsls42"),
    *("ghostnet_050", "repghostnet_050", "rexnet_100", "hgnetv2_b0", "mobileone_s0", "cspresnet50", "darknet53"),
    *("xception41", "legacy_seresnet18", "ese_vovnet19b_dw", "nf_regnet_b0", "resnetv2_50", "mobilevit_xxs"),
    *("mobilevitv2_050", "efficientvit_b0", "fastvit_t8", "repvit_m1", "starnet_s1", "poolformer_s12", "caformer_s18"),
    *(
        "pvt_v2_b0",
        "mambaout_femto",
        "swinv2_cr_tiny_224",
        "swin_tiny_patch4_window7_224",
        "davit_tiny",
        "focalnet_tiny_lrf",
    ),
    *(
        "inception_next_atto",
        "rdnet_tiny",
        "nextvit_small",
        "swiftformer_xs",
        "fasternet_t0",
        "twins_svt_small",
        "coat_tiny",
    ),
    *("hieradet_small", "hiera_tiny_224", "mvitv2_tiny", "gcvit_xxtiny", "maxvit_tiny_rw_224", "coatnet_nano_rw_224"),
]


def pair(name, unused=(), **options):
    """Both models with the same weights; ``unused``: prefixes of the keys of what the peer builds and never runs."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = smp.Unet(f"tu-{name}", encoder_weights=None, **options).eval()
    parity.randomise_norms(theirs)
    ours = smp_core.create("unet", f"tu-{name}", encoder_weights=None, **options).eval()
    parity.assert_same_keys(ours, theirs, dropped=lambda key: key.startswith(tuple(unused)))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("name", PYRAMIDS)
def test_whole_models(name):
    ours, theirs = pair(name)
    torch.manual_seed(1)
    # Of 7x7 pixels MobileViT v2 makes 8x8, which here are cut to what the reduction says.
    x = torch.randn(1, 3, *((256, 256) if name.startswith("mobilevit") else (224, 224)))
    with torch.no_grad():
        for mine, peers in zip(ours.encoder(x), [item for item in theirs.encoder(x) if item.shape[1]], strict=True):
            assert mine.shape == peers.shape
            assert torch.equal(mine, peers)
    parity.assert_same_numbers(ours, theirs, x, tolerance=1e-4)


# The first of EfficientNet's stages that is not run, by depth; it has seven.
FIRST_UNUSED = {3: 3, 4: 5}


@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("name", ["test_resnet", "efficientnet_b0", "convnext_atto"])
def test_depths(name, depth):
    unused = [f"encoder.model.blocks.{number}." for number in range(FIRST_UNUSED[depth], 7)]
    ours, theirs = pair(name, unused, encoder_depth=depth, decoder_channels=(64, 32, 16, 8)[:depth])
    parity.assert_same_numbers(ours, theirs, torch.randn(1, 3, 64, 96))


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("name", ["test_resnet", "efficientnet_b0"])
def test_output_strides(name, stride):
    torch.manual_seed(0)
    theirs = smp.DeepLabV3(f"tu-{name}", encoder_weights=None, encoder_output_stride=stride).eval()
    ours = smp_core.create("deeplabv3", f"tu-{name}", encoder_weights=None, encoder_output_stride=stride).eval()
    ours.load_state_dict(theirs.state_dict())
    parity.assert_same_numbers(ours, theirs, torch.randn(1, 3, 64, 96))


@pytest.mark.parametrize("name", ["test_resnet", "convnext_atto", "test_efficientnet"])
def test_gradients(name):
    parity.assert_same_gradients(*pair(name), torch.randn(1, 3, 64, 64))
