"""The SKNet family against segmentation_models_pytorch 0.6.0: the same keys, features, gradients."""

import pytest
import torch

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated:DeprecationWarning"),
]

NAMES = ("timm-skresnet18", "timm-skresnext50_32x4d")  # one of each kind of block


def build(name, *, depth=5, in_channels=3, output_stride=32):
    """Both encoders with the same weights, in evaluation mode."""
    torch.manual_seed(0)
    options = {"in_channels": in_channels, "depth": depth, "weights": None, "output_stride": output_stride}
    theirs = smp.encoders.get_encoder(name, **options)
    ours = smp_core.create_encoder(name, **options)
    parity.randomise_norms(theirs)
    built = ours.state_dict().keys()
    parity.assert_same_keys(ours, theirs, dropped=lambda key: key.startswith("layer") and key not in built)
    ours.load_state_dict(theirs.state_dict())
    return ours.eval(), theirs.eval()


def image(in_channels=3, size=(64, 96)):
    return torch.randn(2, in_channels, *size, generator=torch.Generator().manual_seed(2))


def compare(name, *, size=(64, 96), **options):
    ours, theirs = build(name, **options)
    x = image(options.get("in_channels", 3), size)
    parity.assert_same_numbers(ours, theirs, x)
    return ours, theirs, x


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_depths(name, depth):
    compare(name, depth=depth)


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
def test_input_channels(in_channels):
    compare("timm-skresnet18", in_channels=in_channels)


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", NAMES)
def test_output_strides(name, output_stride):
    compare(name, output_stride=output_stride)


@pytest.mark.parametrize("size", [(1, 1), (33, 97), (65, 64)], ids=str)
def test_odd_sizes(size):
    compare("timm-skresnet18", size=size)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    ours, theirs, x = compare(name)
    parity.assert_same_gradients(ours, theirs, x[:, :, :40, :33])


@pytest.mark.parametrize("name", NAMES)
def test_training_mode(name):
    ours, theirs = build(name)
    ours.train()
    theirs.train()
    x = image()
    parity.assert_same_numbers(ours, theirs, x)
    reference = theirs.state_dict()
    for key, value in ours.state_dict().items():
        assert parity.relative_difference(value.float(), reference[key].float()) <= 1e-5, key
    parity.assert_same_gradients(ours, theirs, x[:, :, :64, :64])


def test_whole_model():
    torch.manual_seed(0)
    theirs = smp.Unet("timm-skresnet18", encoder_weights=None)
    parity.randomise_norms(theirs)
    ours = smp_core.create("unet", "timm-skresnet18", encoder_weights=None)
    ours.load_state_dict(theirs.state_dict())
    parity.assert_same_numbers(ours.eval(), theirs.eval(), image(size=(64, 64)))


@pytest.mark.parametrize("name", ["timm-skresnet18", "timm-skresnet34", "timm-skresnext50_32x4d"])
def test_every_name(name):
    ours, theirs, _ = compare(name, size=(64, 64))
    assert sum(item.numel() for item in ours.parameters()) == sum(item.numel() for item in theirs.parameters())
    parity.assert_same_numbers(ours.train(), theirs.train(), image(size=(64, 64)))
    for output_stride in (8, 16):
        compare(name, size=(32, 32), output_stride=output_stride)
