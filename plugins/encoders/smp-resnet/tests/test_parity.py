"""The ResNet family against segmentation_models_pytorch 0.6.0: the same keys, features, gradients."""

import pytest
import torch

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity


def compare(name, *, depth=5, in_channels=3, output_stride=32, training=False, size=(64, 96)):
    torch.manual_seed(0)
    theirs = smp.encoders.get_encoder(
        name, in_channels=in_channels, depth=depth, weights=None, output_stride=output_stride
    )
    ours = smp_core.create_encoder(
        name, in_channels=in_channels, depth=depth, weights=None, output_stride=output_stride
    )
    parity.randomise_norms(theirs)
    ours.load_state_dict(theirs.state_dict())
    ours.train(training)
    theirs.train(training)
    x = torch.randn(2, in_channels, *size, generator=torch.Generator().manual_seed(2))
    parity.assert_same_numbers(ours, theirs, x)
    parity.assert_same_gradients(ours, theirs, x[:, :, :40, :33])  # float64 is slow


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_depths(name, depth):
    compare(name, depth=depth)


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
def test_input_channels(in_channels):
    compare("resnet18", in_channels=in_channels)


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", ["resnet34", "resnext50_32x4d"])
def test_output_strides(name, output_stride):
    compare(name, output_stride=output_stride)


@pytest.mark.parametrize("size", [(1, 1), (33, 97), (65, 64)], ids=str)
def test_odd_sizes(size):
    compare("resnet18", size=size)


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d"])
def test_training_mode(name):
    compare(name, training=True)
