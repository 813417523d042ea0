"""Xception against segmentation_models_pytorch 0.6.0: the same keys, features, gradients."""

import pytest
import torch

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity


def unused(depth):
    """Prefixes of the keys of the layers that SMP builds whatever the depth."""
    middle = tuple(f"block{number}." for number in range(3, 12))
    last = ("block12.", "conv3.", "bn3.", "conv4.", "bn4.")
    return sum([("block1.",), ("block2.",), middle, last][depth - 1 :], ())


def compare(*, depth=5, in_channels=3, training=False, size=(64, 96), batch=2, gradients=True):
    torch.manual_seed(0)
    options = {"in_channels": in_channels, "depth": depth, "weights": None}
    theirs = smp.encoders.get_encoder("xception", **options)
    ours = smp_core.create_encoder("xception", **options)
    parity.randomise_norms(theirs)
    dropped = unused(depth)
    parity.assert_same_keys(ours, theirs, dropped=lambda key: key.startswith(dropped))
    ours.load_state_dict(theirs.state_dict())
    ours.train(training)
    theirs.train(training)
    x = torch.randn(batch, in_channels, *size, generator=torch.Generator().manual_seed(2))
    parity.assert_same_numbers(ours, theirs, x)
    if gradients:
        parity.assert_same_gradients(ours, theirs, x[:, :, :40, :33])  # float64 is slow
    return ours, theirs


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_depths(depth):
    compare(depth=depth)


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
def test_input_channels(in_channels):
    compare(in_channels=in_channels, gradients=False)


@pytest.mark.parametrize("size", [(1, 1), (33, 97), (65, 64), (38, 70)], ids=str)
def test_odd_sizes(size):
    compare(size=size, gradients=False)


def test_training_mode():
    ours, theirs = compare(training=True)
    ours.eval()
    theirs.eval()
    parity.assert_same_numbers(ours, theirs, torch.ones(1, 3, 32, 32, dtype=torch.float64))  # the running statistics


def test_number_of_parameters():
    ours, theirs = compare(size=(32, 32), batch=1, gradients=False)
    assert sum(item.numel() for item in ours.parameters()) == sum(item.numel() for item in theirs.parameters())


def test_inside_a_model():
    theirs = smp.Unet("xception", encoder_weights=None).eval()
    ours = smp_core.create("unet", "xception", encoder_weights=None).eval()
    ours.load_state_dict(theirs.state_dict())
    parity.assert_same_numbers(ours, theirs, torch.randn(1, 3, 64, 64))
