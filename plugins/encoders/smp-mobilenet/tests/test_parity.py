"""MobileNetV2 against segmentation_models_pytorch 0.6.0: the same keys, features, gradients."""

import pytest
import torch

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

NAME = "mobilenet_v2"


def pair(*, depth=5, in_channels=3, output_stride=32, training=False):
    torch.manual_seed(0)
    options = {"in_channels": in_channels, "depth": depth, "weights": None, "output_stride": output_stride}
    theirs = smp.encoders.get_encoder(NAME, **options)
    ours = smp_core.create_encoder(NAME, **options)
    parity.randomise_norms(theirs)
    ours.load_state_dict(theirs.state_dict())
    return ours.train(training), theirs.train(training)


def image(in_channels=3, size=(64, 96)):
    return torch.randn(2, in_channels, *size, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_depths(depth):
    ours, theirs = pair(depth=depth)
    parity.assert_same_numbers(ours, theirs, image())
    parity.assert_same_gradients(ours, theirs, image(size=(40, 33)))


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
def test_input_channels(in_channels):
    ours, theirs = pair(in_channels=in_channels)
    parity.assert_same_numbers(ours, theirs, image(in_channels))


@pytest.mark.parametrize("output_stride", [8, 16])
def test_output_strides(output_stride):
    ours, theirs = pair(output_stride=output_stride)
    parity.assert_same_numbers(ours, theirs, image())
    parity.assert_same_gradients(ours, theirs, image(size=(40, 33)))


@pytest.mark.parametrize("size", [(1, 1), (33, 97), (65, 64)], ids=str)
def test_odd_sizes(size):
    ours, theirs = pair()
    parity.assert_same_numbers(ours, theirs, image(size=size))


def test_training_mode():
    ours, theirs = pair(training=True)
    parity.assert_same_numbers(ours, theirs, image())
    for key, value in theirs.state_dict().items():
        assert parity.relative_difference(ours.state_dict()[key], value) <= 1e-5, key
    parity.assert_same_gradients(ours, theirs, image())


def test_the_keys_and_parameters_are_the_references():
    ours, theirs = pair()
    parity.assert_same_keys(ours, theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert smp_core.describe(NAME).spec.num_parameters == count


def test_the_state_dict_of_a_whole_model_loads():
    theirs = smp.Unet(NAME, encoder_weights=None).eval()
    parity.randomise_norms(theirs)
    ours = smp_core.create("unet", NAME, encoder_weights=None).eval()
    ours.load_state_dict(theirs.state_dict())
    parity.assert_same_numbers(ours, theirs, image())
