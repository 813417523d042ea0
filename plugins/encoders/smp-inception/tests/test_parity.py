"""The Inception family against segmentation_models_pytorch 0.6.0: the same keys, features, gradients."""

import pytest
import torch

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

NAMES = ["inceptionv4", "inceptionresnetv2"]


def unused(name, depth):
    """Prefixes of the keys of the layers that SMP builds whatever the depth."""
    if name == "inceptionv4":
        return tuple(f"features.{index}." for index in range([3, 5, 9, 15, 22][depth - 1], 22))
    layers = (
        ("conv2d_3b.", "conv2d_4a."),
        ("mixed_5b.", "repeat."),
        ("mixed_6a.", "repeat_1."),
        ("mixed_7a.", "repeat_2.", "block8.", "conv2d_7b."),
    )
    return sum(layers[depth - 1 :], ())


def compare(name, *, depth=5, in_channels=3, training=False, size=(64, 96), batch=2, gradients=True):
    torch.manual_seed(0)
    options = {"in_channels": in_channels, "depth": depth, "weights": None}
    theirs = smp.encoders.get_encoder(name, **options)
    ours = smp_core.create_encoder(name, **options)
    parity.randomise_norms(theirs)
    dropped = unused(name, depth)
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
@pytest.mark.parametrize("name", NAMES)
def test_depths(name, depth):
    ours, theirs = compare(name, depth=depth, gradients=depth < 5)
    if depth == 5:
        assert sum(item.numel() for item in ours.parameters()) == sum(item.numel() for item in theirs.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    compare(name)


@pytest.mark.parametrize("in_channels", [1, 2, 4, 13])
@pytest.mark.parametrize("name", NAMES)
def test_input_channels(name, in_channels):
    compare(name, in_channels=in_channels, depth=1, gradients=False)


@pytest.mark.parametrize("size", [(1, 1), (33, 97), (65, 64)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_odd_sizes(name, size):
    compare(name, size=size, batch=1, gradients=False)


@pytest.mark.parametrize("name", NAMES)
def test_training_mode(name):
    ours, theirs = compare(name, training=True, gradients=False)
    ours.eval()
    theirs.eval()
    parity.assert_same_numbers(ours, theirs, torch.ones(1, 3, 32, 32))  # the running statistics


@pytest.mark.parametrize("name", NAMES)
def test_inside_a_model(name):
    theirs = smp.Unet(name, encoder_weights=None).eval()
    ours = smp_core.create("unet", name, encoder_weights=None).eval()
    ours.load_state_dict(theirs.state_dict())
    parity.assert_same_numbers(ours, theirs, torch.randn(1, 3, 64, 64))
