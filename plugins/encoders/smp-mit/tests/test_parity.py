"""The Mix Transformers against segmentation_models_pytorch 0.6.0: the same keys, features, gradients.

The reference returns a map without channels for the level of reduction 2, which the backbone lacks; ours leaves it out.
"""

import pytest
import torch

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

NAMES = [f"mit_b{size}" for size in range(6)]


def pair(name, *, depth=5, in_channels=3, output_stride=32, training=False):
    torch.manual_seed(0)
    options = {"in_channels": in_channels, "depth": depth, "weights": None, "output_stride": output_stride}
    theirs = smp.encoders.get_encoder(name, **options)
    ours = smp_core.create_encoder(name, **options)
    parity.randomise_norms(theirs)
    ours.load_state_dict(theirs.state_dict())
    return ours.train(training), parity.WithoutEmptyLevels(theirs).train(training)


def image(in_channels=3, size=(64, 96)):
    return torch.randn(2, in_channels, *size, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_depths(depth):
    ours, theirs = pair("mit_b0", depth=depth)
    assert (ours.out_channels, ours.reductions) == (theirs.out_channels, theirs.reductions)
    parity.assert_same_numbers(ours, theirs, image())
    parity.assert_same_gradients(ours, theirs, image(size=(40, 33)))


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
def test_input_channels(in_channels):
    ours, theirs = pair("mit_b0", in_channels=in_channels)
    parity.assert_same_numbers(ours, theirs, image(in_channels))


@pytest.mark.parametrize("output_stride", [8, 16])
def test_output_strides(output_stride):
    ours, theirs = pair("mit_b0", output_stride=output_stride)
    parity.assert_same_numbers(ours, theirs, image())
    parity.assert_same_gradients(ours, theirs, image(size=(40, 33)))


# Below 29 pixels the reference fails: its map is smaller than the kernel that reduces keys and values.
@pytest.mark.parametrize("size", [(29, 29), (33, 97), (65, 64)], ids=str)
def test_odd_sizes(size):
    ours, theirs = pair("mit_b0")
    parity.assert_same_numbers(ours, theirs, image(size=size))


def test_training_mode_drops_the_same_paths():
    ours, theirs = pair("mit_b0", training=True)
    outputs = []
    for module in (ours, theirs):
        torch.manual_seed(5)
        with torch.no_grad():
            outputs.append(module(image()))
    differences = [parity.relative_difference(a, b) for a, b in zip(*outputs, strict=True)]
    assert max(differences) <= 1e-5


def test_gradients_of_parameters_in_training_mode():
    ours, theirs = pair("mit_b0", training=True)
    for module in (ours, theirs):
        module.double()
        torch.manual_seed(5)
        features = module(image(size=(40, 33)).double())
        sum(feature.square().mean() for feature in features[1:]).backward()
    expected = {name: parameter.grad for name, parameter in theirs.inner.named_parameters()}
    assert expected.keys() == dict(ours.named_parameters()).keys()
    for name, parameter in ours.named_parameters():
        # Attention does not see a bias that all keys share: that gradient is zero but for rounding.
        assert (parameter.grad - expected[name]).abs().max() <= 1e-8 * expected[name].abs().max() + 1e-12, name


def test_the_state_dict_of_a_whole_model_loads():
    theirs = smp.Unet("mit_b0", encoder_weights=None).eval()
    parity.randomise_norms(theirs)
    ours = smp_core.create("unet", "mit_b0", encoder_weights=None).eval()
    ours.load_state_dict(theirs.state_dict())
    parity.assert_same_numbers(ours, theirs, image())


def sweep(name):
    ours, theirs = pair(name)
    parity.assert_same_keys(ours, theirs.inner)
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert smp_core.describe(name).spec.num_parameters == count
    parity.assert_same_numbers(ours, theirs, image(size=(64, 64)))
    for output_stride in (8, 16):
        ours, theirs = pair(name, output_stride=output_stride)
        parity.assert_same_numbers(ours, theirs, image(size=(64, 64)))


@pytest.mark.parametrize("name", NAMES[:2])
def test_small_names(name):
    sweep(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[2:])
def test_large_names(name):
    sweep(name)
