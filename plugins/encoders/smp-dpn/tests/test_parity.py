"""The dual path networks against segmentation_models_pytorch 0.6.0: the same keys, features, gradients."""

import pytest
import torch

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

NAMES = ["dpn68", "dpn68b", "dpn92", "dpn98", "dpn107", "dpn131"]


def unused(depth):
    """Prefixes of the keys of the stages that SMP builds whatever the depth."""
    return tuple(f"features.conv{stage}_" for stage in range(2, 6) if stage > depth)


def compare(name, *, depth=5, in_channels=3, output_stride=32, training=False, size=(64, 96), batch=2, gradients=True):
    torch.manual_seed(0)
    options = {"in_channels": in_channels, "depth": depth, "weights": None, "output_stride": output_stride}
    theirs = smp.encoders.get_encoder(name, **options)
    ours = smp_core.create_encoder(name, **options)
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
    compare("dpn68", depth=depth)


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
def test_input_channels(in_channels):
    compare("dpn68", in_channels=in_channels, gradients=False)


@pytest.mark.parametrize("output_stride", [8, 16])
def test_output_strides(output_stride):
    compare("dpn68b", output_stride=output_stride, size=(64, 33))


@pytest.mark.parametrize("size", [(1, 1), (33, 97), (65, 64), (38, 70)], ids=str)
def test_odd_sizes(size):
    compare("dpn68", size=size, gradients=False)


@pytest.mark.parametrize("name", ["dpn68", "dpn68b"])
def test_training_mode(name):
    ours, theirs = compare(name, training=True)
    ours.eval()
    theirs.eval()
    parity.assert_same_numbers(ours, theirs, torch.ones(1, 3, 32, 32, dtype=torch.float64))  # the running statistics


def test_inside_a_model():
    theirs = smp.Unet("dpn68", encoder_weights=None).eval()
    ours = smp_core.create("unet", "dpn68", encoder_weights=None).eval()
    ours.load_state_dict(theirs.state_dict())
    parity.assert_same_numbers(ours, theirs, torch.randn(1, 3, 64, 64))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_names(name):
    ours, theirs = compare(name, size=(48, 64), batch=1, gradients=False)
    assert sum(item.numel() for item in ours.parameters()) == sum(item.numel() for item in theirs.parameters())
    for output_stride in (8, 16):
        compare(name, output_stride=output_stride, size=(32, 32), batch=1, gradients=False)
