"""Models of segmentation_models_pytorch 0.6.0, and folders that it wrote and reads.

Importing this skips the module that does, where the peer is not installed.
"""

from __future__ import annotations

import warnings

import pytest
import torch

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

# Without DPT: the peer builds it over timm's transformers alone.
PEERS = {
    "unet": smp.Unet,
    "unetplusplus": smp.UnetPlusPlus,
    "manet": smp.MAnet,
    "linknet": smp.Linknet,
    "fpn": smp.FPN,
    "pspnet": smp.PSPNet,
    "pan": smp.PAN,
    "deeplabv3": smp.DeepLabV3,
    "deeplabv3plus": smp.DeepLabV3Plus,
    "upernet": smp.UPerNet,
    "segformer": smp.Segformer,
}

# Relative to the largest score: our layers sum in another order.
TOLERANCE = 1e-4


def peer_model(architecture, encoder="resnet18", *, seed=0, **options):
    """The peer's model with random weights and with statistics of norms that count, in evaluation mode."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the peer warns of is not ours to mend
        model = PEERS[architecture](encoder, encoder_weights=None, **options)
    parity.randomise_norms(model, seed)
    return model.eval()


def read_by_peer(folder, **changes):
    """What the peer makes of a folder, in evaluation mode; without changes every key has to fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return smp.from_pretrained(str(folder), **({"strict": True} | changes)).eval()


def assert_same(ours, theirs, *, in_channels=3, size=(64, 64)):
    """Assert equal outputs of two models in evaluation mode."""
    assert not ours.training
    parity.assert_same_numbers(ours, theirs, parity.image(in_channels, size), tolerance=TOLERANCE)
