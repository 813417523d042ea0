"""The MobileOne family against segmentation_models_pytorch 0.6.0: the same keys, features, gradients."""

import pytest
import torch

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

NAMES = [f"mobileone_s{size}" for size in range(5)]


def pair(name, *, depth=5, in_channels=3, output_stride=32, training=False):
    torch.manual_seed(0)
    options = {"in_channels": in_channels, "depth": depth, "weights": None, "output_stride": output_stride}
    theirs = smp.encoders.get_encoder(name, **options)
    ours = smp_core.create_encoder(name, **options)
    parity.randomise_norms(theirs)
    ours.load_state_dict(theirs.state_dict())
    return ours.train(training), theirs.train(training)


def image(in_channels=3, size=(64, 96)):
    return torch.randn(2, in_channels, *size, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_depths(depth):
    ours, theirs = pair("mobileone_s0", depth=depth)
    parity.assert_same_numbers(ours, theirs, image())
    parity.assert_same_gradients(ours, theirs, image(size=(40, 33)))


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
def test_input_channels(in_channels):
    ours, theirs = pair("mobileone_s1", in_channels=in_channels)
    parity.assert_same_numbers(ours, theirs, image(in_channels))


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", ["mobileone_s0", "mobileone_s4"])
def test_output_strides(name, output_stride):
    ours, theirs = pair(name, output_stride=output_stride)
    parity.assert_same_numbers(ours, theirs, image())
    parity.assert_same_gradients(ours, theirs, image(size=(40, 33)))


@pytest.mark.parametrize("size", [(1, 1), (33, 97), (65, 64)], ids=str)
def test_odd_sizes(size):
    ours, theirs = pair("mobileone_s1")
    parity.assert_same_numbers(ours, theirs, image(size=size))


@pytest.mark.parametrize("name", ["mobileone_s0", "mobileone_s4"])
def test_training_mode(name):
    ours, theirs = pair(name, training=True)
    parity.assert_same_numbers(ours, theirs, image())
    for key, value in theirs.state_dict().items():
        assert parity.relative_difference(ours.state_dict()[key], value) <= 1e-5, key
    parity.assert_same_gradients(ours, theirs, image())


@pytest.mark.parametrize("in_channels", [1, 2, 4, 13])
def test_pretrained_weights_are_fitted_to_the_input_as_the_reference_does(in_channels, tmp_path):
    """Two convolutions see the input."""
    theirs = smp.encoders.get_encoder("mobileone_s1", weights=None)
    parity.randomise_norms(theirs)
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    theirs.set_in_channels(in_channels, pretrained=True)
    ours = smp_core.create_encoder("mobileone_s1", weights=tmp_path / "weights.pth", in_channels=in_channels)
    parity.assert_same_numbers(ours.eval(), theirs.eval(), image(in_channels))


def test_the_state_dict_of_a_whole_model_loads():
    theirs = smp.Unet("mobileone_s1", encoder_weights=None).eval()
    parity.randomise_norms(theirs)
    ours = smp_core.create("unet", "mobileone_s1", encoder_weights=None).eval()
    ours.load_state_dict(theirs.state_dict())
    parity.assert_same_numbers(ours, theirs, image())


@pytest.mark.parametrize("name", NAMES)
def test_every_name(name):
    ours, theirs = pair(name)
    parity.assert_same_keys(ours, theirs)
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert smp_core.describe(name).spec.num_parameters == count
    parity.assert_same_numbers(ours, theirs, image(size=(64, 64)))
    parity.assert_same_numbers(ours.merged(), theirs, image(size=(64, 64)), tolerance=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", NAMES)
def test_every_name_dilated(name, output_stride):
    ours, theirs = pair(name, output_stride=output_stride)
    parity.assert_same_numbers(ours, theirs, image(size=(64, 64)))
