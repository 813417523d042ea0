"""The EfficientNet family against segmentation_models_pytorch 0.6.0: the same keys, features, gradients."""

import pytest
import torch

import smp_core
from smp_core.errors import IncompatibleError

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated:DeprecationWarning"),
]

NAMES = ("efficientnet-b0", "timm-efficientnet-b0", "timm-tf_efficientnet_lite0")  # one of each kind
ALL = (
    *(f"efficientnet-b{number}" for number in range(8)),
    *(f"timm-efficientnet-b{number}" for number in range(9)),
    "timm-efficientnet-l2",
    *(f"timm-tf_efficientnet_lite{number}" for number in range(5)),
)
HEADS = ("_conv_head.", "_bn1.", "conv_head.", "bn2.")  # which the reference builds and never uses


def build(name, *, depth=5, in_channels=3, output_stride=32):
    """Both encoders with the same weights, in evaluation mode."""
    torch.manual_seed(0)
    options = {"in_channels": in_channels, "depth": depth, "weights": None, "output_stride": output_stride}
    theirs = smp.encoders.get_encoder(name, **options)
    ours = smp_core.create_encoder(name, **options)
    parity.randomise_norms(theirs)
    built = ours.state_dict().keys()
    parity.assert_same_keys(
        ours, theirs, dropped=lambda key: key.startswith(HEADS) or (depth < 5 and "blocks." in key and key not in built)
    )
    ours.load_state_dict(theirs.state_dict())
    return ours.eval(), theirs.eval()


def image(in_channels=3, size=(64, 96)):
    return torch.randn(2, in_channels, *size, generator=torch.Generator().manual_seed(2))


def compare(name, *, size=(64, 96), **options):
    ours, theirs = build(name, **options)
    x = image(options.get("in_channels", 3), size)
    parity.assert_same_numbers(ours, theirs, x)
    return ours, theirs, x


def without_drop_path(*encoders):
    for encoder in encoders:
        if hasattr(encoder, "_drop_connect_rate"):
            encoder._drop_connect_rate = 0.0
        for layer in encoder.modules():
            for rate in ("rate", "drop_prob"):  # ours and the reference's
                if hasattr(layer, rate):
                    setattr(layer, rate, 0.0)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_depths(name, depth):
    if depth == 1 and name == "efficientnet-b0":
        with pytest.raises(IncompatibleError):
            smp_core.create_encoder(name, depth=1, weights=None)
    else:
        compare(name, depth=depth)


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("name", NAMES[:2])
def test_input_channels(name, in_channels):
    compare(name, in_channels=in_channels, depth=2)


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", NAMES)
def test_output_strides(name, output_stride):
    compare(name, output_stride=output_stride)


@pytest.mark.parametrize("size", [(33, 97), (65, 64)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_odd_sizes(name, size):
    compare(name, size=size)


@pytest.mark.parametrize("name", NAMES[1:])
def test_one_pixel(name):
    compare(name, size=(1, 1))


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    ours, theirs, x = compare(name)
    parity.assert_same_gradients(ours, theirs, x[:, :, :40, :33])


@pytest.mark.parametrize("name", NAMES)
def test_training_mode(name):
    ours, theirs = build(name)
    without_drop_path(ours, theirs)
    ours.train()
    theirs.train()
    x = image()
    parity.assert_same_numbers(ours, theirs, x)
    reference = theirs.state_dict()
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, reference[key], rtol=1e-5, atol=1e-6, msg=key)
    parity.assert_same_gradients(ours, theirs, x[:, :, :64, :64])


@pytest.mark.parametrize("name", ["efficientnet-b0", "timm-efficientnet-b0"])
def test_drop_path_draws_the_same_numbers(name):
    outputs = []
    for encoder in build(name):
        torch.manual_seed(3)
        with torch.no_grad():
            outputs.append(encoder.train()(image().repeat(4, 1, 1, 1)))
    for mine, reference in zip(*outputs, strict=True):
        assert parity.relative_difference(mine, reference) <= 1e-5


@pytest.mark.parametrize("name", ["efficientnet-b0", "timm-efficientnet-b0"])
def test_whole_model(name):
    torch.manual_seed(0)
    theirs = smp.Unet(name, encoder_weights=None)
    parity.randomise_norms(theirs)
    ours = smp_core.create("unet", name, encoder_weights=None)
    ours.load_state_dict(theirs.state_dict())
    parity.assert_same_numbers(ours.eval(), theirs.eval(), image(size=(64, 64)))


def test_every_name_is_here():
    assert sorted(ALL) == smp_core.list_encoders(provider="smp-efficientnet")


def test_the_largest_has_the_same_keys():
    with torch.device("meta"):  # two gigabytes of parameters otherwise
        theirs = smp.encoders.get_encoder("timm-efficientnet-l2", weights=None)
        ours = smp_core.create_encoder("timm-efficientnet-l2", weights=None)
    parity.assert_same_keys(ours, theirs, dropped=lambda key: key.startswith(HEADS))


@pytest.mark.slow
def test_the_largest_has_the_same_numbers():
    theirs = smp.encoders.get_encoder("timm-efficientnet-l2", weights=None)
    with torch.device("meta"):
        ours = smp_core.create_encoder("timm-efficientnet-l2", weights=None)
    ours.load_state_dict(theirs.state_dict(), assign=True)  # one copy of the parameters serves both
    parity.assert_same_numbers(ours.eval(), theirs.eval(), image(size=(64, 64)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ALL if not name.endswith("-l2")])
def test_every_name(name):
    ours, theirs, _ = compare(name, size=(64, 64))
    count = sum(item.numel() for item in ours.parameters())
    unused = sum(item.numel() for key, item in theirs.named_parameters() if key.startswith(HEADS))
    assert count == sum(item.numel() for item in theirs.parameters()) - unused
    without_drop_path(ours, theirs)
    parity.assert_same_numbers(ours.train(), theirs.train(), image(size=(64, 64)))
    for output_stride in (8, 16):
        compare(name, size=(32, 32), output_stride=output_stride)
