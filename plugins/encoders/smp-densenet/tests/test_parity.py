"""The DenseNet family against segmentation_models_pytorch 0.6.0: the same keys, features, gradients.

In training mode numbers are compared in float64: with batch statistics over the few values of the deepest maps, the
peer is itself up to 4e-5 away from what it gives in float64.
"""

import pytest
import torch

import smp_core
from smp_densenet.plugin import smp_encoders

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

NAMES = [spec.name for spec in smp_encoders()]


def pair(name="densenet121", *, depth=5, in_channels=3):
    torch.manual_seed(0)
    theirs = smp.encoders.get_encoder(name, in_channels=in_channels, depth=depth, weights=None)
    ours = smp_core.create_encoder(name, in_channels=in_channels, depth=depth, weights=None)
    parity.randomise_norms(theirs)
    ours.load_state_dict(theirs.state_dict())
    return ours.eval(), theirs.eval()


def image(in_channels=3, size=(64, 96)):
    return torch.randn(2, in_channels, *size, generator=torch.Generator().manual_seed(2))


def assert_same_step(ours, theirs, x):
    """The features of a training step, every parameter's gradient, and the running statistics after it, in float64."""
    ours.double().train()
    theirs.double().train()
    parity.assert_same_numbers(ours, theirs, x.double(), tolerance=1e-10)
    for module in (ours, theirs):
        module.zero_grad()
        sum(feature.square().mean() for feature in module(x.double())[1:]).backward()
    reference = dict(theirs.named_parameters())
    for key, value in ours.named_parameters():
        assert parity.relative_difference(value.grad, reference[key].grad) <= 1e-8, key
    reference = dict(theirs.named_buffers())
    for key, value in ours.named_buffers():
        assert parity.relative_difference(value, reference[key]) <= 1e-10, key


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_depths(depth):
    ours, theirs = pair(depth=depth)
    parity.assert_same_numbers(ours, theirs, image())
    parity.assert_same_gradients(ours, theirs, image(size=(40, 33)))
    assert_same_step(ours, theirs, image(size=(64, 64)))


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
def test_input_channels(in_channels):
    parity.assert_same_numbers(*pair(in_channels=in_channels, depth=2), image(in_channels))


@pytest.mark.parametrize("size", [(32, 32), (33, 97), (65, 64), (63, 62)], ids=str)
def test_odd_sizes(size):
    parity.assert_same_numbers(*pair(), image(size=size))


def test_training_in_float32():
    """Where the deepest map has enough values for statistics that are not of rounding errors."""
    ours, theirs = pair(depth=3)
    parity.assert_same_numbers(ours.train(), theirs.train(), image())


def test_training_in_float32_at_full_depth():
    """A map's statistics are taken once, and not again by each layer that reads it: sums in another order."""
    ours, theirs = pair()
    parity.assert_same_numbers(ours.train(), theirs.train(), image(), tolerance=1e-4)


def test_plain_form():
    """The form of compiled and exported graphs; a watched norm asks for it too."""
    ours, theirs = pair()
    for block in (1, 2, 3, 4):
        layer = ours.get_submodule(f"features.denseblock{block}.denselayer1.norm1")
        layer.register_forward_hook(lambda *_: None)
    parity.assert_same_numbers(ours, theirs, image())
    assert_same_step(ours, theirs, image(size=(64, 64)))


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
    x = image(size=(64, 64))
    parity.assert_same_numbers(ours, theirs, x)
    assert_same_step(ours, theirs, x)


def test_whole_model():
    options = {"decoder_channels": (32, 16, 16, 8, 8), "classes": 2}
    parity.compare_architecture("unet", smp.Unet, options, encoder="densenet121", size=(32, 64), gradients=False)
