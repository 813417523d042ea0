"""PAN against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest
import torch

import smp_core
from smp_core.errors import IncompatibleError, OptionError

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area", "nearest-exact")


def compare(options, size=None, *, tolerance=1e-5):
    # Gradients are compared on half the size, which the peer takes from eight pixels of the deepest feature on.
    stride = min(2 ** options.get("encoder_depth", 5), options.get("encoder_output_stride", 16))
    return parity.compare_architecture(
        "pan", smp.PAN, options, tolerance=tolerance, size=size or (16 * stride, 18 * stride)
    )


ONE_AT_A_TIME = [
    {},
    {"encoder_output_stride": 16},
    {"encoder_output_stride": 32},
    {"encoder_depth": 3},
    {"encoder_depth": 4},
    {"encoder_depth": 3, "encoder_output_stride": 32},
    {"decoder_channels": 50},
    *({"decoder_interpolation": mode} for mode in INTERPOLATIONS),
    *({"upsampling": factor} for factor in (1, 3, 8)),
    {"in_channels": 1},
    {"in_channels": 5},
    {"classes": 5},
    {"classes": 4, "activation": "softmax2d"},
    {"aux_params": {"classes": 4, "pooling": "max", "dropout": 0.5, "activation": "sigmoid"}},
]


@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(options):
    compare(options)


def random_options(seed):
    draw = random.Random(seed)
    options = {
        "encoder_depth": draw.randint(3, 5),
        "encoder_output_stride": draw.choice((16, 16, 16, 32)),
        "decoder_channels": draw.randrange(4, 80),
        "decoder_interpolation": draw.choice(INTERPOLATIONS),
        "upsampling": draw.choice((1, 2, 4)),
        "in_channels": draw.randint(1, 6),
        "classes": draw.randint(1, 6),
        "activation": draw.choice((None, "sigmoid", "softmax2d", "tanh")),
    }
    if draw.random() < 0.5:
        options["aux_params"] = {"classes": draw.randint(1, 6), "pooling": draw.choice(("avg", "max"))}
    return options


@pytest.mark.parametrize("seed", range(20))
def test_random_combinations(seed):
    draw = random.Random(1000 + seed)
    options = random_options(seed)
    stride = min(2 ** options["encoder_depth"], options["encoder_output_stride"])
    compare(options, tuple(2 * stride * draw.randint(8, 11) for _ in range(2)))


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_training_mode_moves_the_same_statistics(interpolation):
    ours, theirs = parity.architecture_pair("pan", smp.PAN, size=(128, 160), decoder_interpolation=interpolation)
    ours.train()
    theirs.train()
    x = torch.randn(2, 3, 128, 160, generator=torch.Generator().manual_seed(2))
    parity.assert_same_numbers(ours, theirs, x, tolerance=1e-4)
    reference = theirs.state_dict()
    for key, value in ours.state_dict().items():
        if key.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert parity.relative_difference(value, reference[key]) <= 1e-4, key
    parity.assert_same_gradients(ours, theirs, x)


@pytest.mark.parametrize(
    ("height", "width", "options"),
    [
        (61, 50, {}),
        (1, 1, {}),
        (300, 20, {}),
        (130, 140, {"upsampling": 3}),
        (61, 50, {"encoder_output_stride": 32}),
        (30, 40, {"encoder_depth": 3}),
    ],
)
def test_sizes_that_the_peer_refuses(height, width, options):
    model = smp_core.create("pan", "resnet18", encoder_weights=None, **options).eval()
    expected = tuple(-(-size * options.get("upsampling", 4) // 4) for size in (height, width))
    assert model(torch.zeros(1, 3, height, width)).shape == (1, 1, *expected)


@pytest.mark.parametrize("size", [64, 128])
def test_a_batch_of_one_trains(size):
    model = smp_core.create("pan", "resnet18", encoder_weights=None)
    model(torch.randn(1, 3, size, size)).mean().backward()


@pytest.mark.parametrize(
    "options",
    [
        {"decoder_channels": 0},
        {"decoder_interpolation": "linear"},
        {"upsampling": 0},
        {"aux_params": {"class": 2}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(options):
    with pytest.raises(OptionError, match=next(iter(options)).removeprefix("decoder_")):
        smp_core.create("pan", "resnet18", encoder_weights=None, **options)


def test_what_it_needs_of_the_encoder_is_declared():
    with pytest.raises(IncompatibleError, match=r"encoder_output_stride of 16, 32, not 8"):
        smp_core.create("pan", "resnet18", encoder_weights=None, encoder_output_stride=8)
    with pytest.raises(IncompatibleError, match=r"encoder_depth 3..5, not 2"):
        smp_core.create("pan", "resnet18", encoder_weights=None, encoder_depth=2)


@pytest.mark.parametrize("options", [{}, {"encoder_depth": 3}, {"encoder_depth": 4}], ids=str)
def test_an_encoder_without_the_level_at_one_half(options):
    parity.compare_over_reference_encoder("pan", smp.PAN, options, tolerance=1e-4, size=(128, 160))


def test_checkpoints_are_read_both_ways(tmp_path):
    ours, theirs, x = compare({"classes": 3, "decoder_channels": 16})
    theirs.save_pretrained(tmp_path / "theirs")
    from_theirs = smp_core.from_pretrained(tmp_path / "theirs")
    torch.testing.assert_close(from_theirs.predict(x), ours.predict(x), rtol=1e-5, atol=1e-5)
    ours.save_pretrained(tmp_path / "ours")
    from_ours = smp.from_pretrained(str(tmp_path / "ours")).eval()
    torch.testing.assert_close(from_ours(x), theirs(x), rtol=1e-5, atol=1e-5)
