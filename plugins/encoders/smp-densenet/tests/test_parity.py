"""The DenseNet family against segmentation_models_pytorch 0.6.0: the same keys, features, gradients."""

import pytest
import torch

import smp_core
from smp_densenet.plugin import smp_encoders

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

NAMES = [spec.name for spec in smp_encoders()]


def pair(name, *, depth=5, in_channels=3):
    torch.manual_seed(0)
    theirs = smp.encoders.get_encoder(name, in_channels=in_channels, depth=depth, weights=None)
    ours = smp_core.create_encoder(name, in_channels=in_channels, depth=depth, weights=None)
    parity.randomise_norms(theirs)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def image(in_channels=3, size=(64, 96)):
    return torch.randn(2, in_channels, *size, generator=torch.Generator().manual_seed(2))


def compare(name, *, training=False, size=(64, 96), **arguments):
    ours, theirs = pair(name, **arguments)
    x = image(arguments.get("in_channels", 3), size)
    parity.assert_same_numbers(ours.train(training), theirs.train(training), x)
    assert_same_buffers(ours, theirs)
    if min(size) >= 32:
        parity.assert_same_gradients(ours, theirs, x[:, :, :40, :33])  # float64 is slow


def assert_same_buffers(ours, theirs):
    """Running statistics after a step, of the layers that both have."""
    reference = dict(theirs.named_buffers())
    for key, value in ours.named_buffers():
        assert parity.relative_difference(value, reference[key]) <= 1e-5, key


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["densenet121"])
def test_depths(name, depth):
    compare(name, depth=depth)


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
def test_input_channels(in_channels):
    compare("densenet121", in_channels=in_channels, depth=2)


@pytest.mark.parametrize("size", [(32, 32), (33, 97), (65, 64)], ids=str)
def test_odd_sizes(size):
    compare("densenet121", size=size)


@pytest.mark.parametrize("name", ["densenet121"])
def test_training_mode(name):
    compare(name, training=True)


@pytest.mark.parametrize("spec", smp_encoders(), ids=lambda spec: spec.name)
def test_the_spec_is_the_peers(spec):
    """Keys and parameters are compared without memory, on the meta device."""
    with torch.device("meta"):
        theirs = smp.encoders.get_encoder(spec.name, weights=None)
        ours = smp_core.create_encoder(spec.name, weights=None)
    parity.assert_same_keys(ours, theirs)
    assert spec.out_channels == tuple(theirs.out_channels)
    assert spec.num_parameters == sum(parameter.numel() for parameter in theirs.parameters())
    published = smp.encoders.encoders[spec.name]["pretrained_settings"]
    assert {
        name: {"repo_id": item.repo_id, "revision": item.revision} for name, item in spec.weights.items()
    } == published


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_name(name):
    ours, theirs = pair(name)
    for training in (False, True):
        parity.assert_same_numbers(ours.train(training), theirs.train(training), image(size=(64, 64)))
        assert_same_buffers(ours, theirs)


@pytest.mark.parametrize("name", ["densenet121"])
def test_whole_model(name):
    """A whole model's state dict loads, encoder and decoder."""
    options = {"decoder_channels": (32, 16, 16, 8, 8), "classes": 2}
    parity.compare_architecture("unet", smp.Unet, options, encoder=name, size=(32, 64), gradients=False)
