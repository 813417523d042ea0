"""PAN against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest

from smp_core.errors import IncompatibleError

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

SIZE = (128, 160)  # which the peer takes at the default output stride


def compare(options, size=None):
    # Gradients are compared on half the size, which the peer takes from eight pixels of the deepest feature on.
    stride = min(2 ** options.get("encoder_depth", 5), options.get("encoder_output_stride", 16))
    size = size or (16 * stride, 18 * stride)
    # Convolutions of maps with channels innermost in memory sum in another order; that came to 1.03e-5.
    return parity.compare_architecture("pan", smp.PAN, options, tolerance=1e-4, size=size)


ONE_AT_A_TIME = [
    {},
    {"encoder_output_stride": 16},
    {"encoder_output_stride": 32},
    {"encoder_depth": 3},
    {"encoder_depth": 4},
    {"encoder_depth": 3, "encoder_output_stride": 32},
    {"decoder_channels": 50},
    *({"decoder_interpolation": mode} for mode in parity.INTERPOLATIONS),
    *({"upsampling": factor} for factor in (1, 3, 8)),
    {"in_channels": 5},
    *parity.COMMON_OPTIONS,
]


@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(options):
    compare(options)


def random_options(seed):
    draw = random.Random(seed)
    return parity.draw_common_options(draw, interpolations=parity.INTERPOLATIONS) | {
        "encoder_output_stride": draw.choice((16, 16, 16, 32)),
        "decoder_channels": draw.randrange(4, 80),
        "upsampling": draw.choice((1, 2, 4)),
    }


@pytest.mark.parametrize("seed", range(20))
def test_random_combinations(seed):
    draw = random.Random(1000 + seed)
    options = random_options(seed)
    stride = min(2 ** options["encoder_depth"], options["encoder_output_stride"])
    compare(options, tuple(2 * stride * draw.randint(8, 11) for _ in range(2)))


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_training_mode_moves_the_same_statistics(interpolation):
    pair = parity.architecture_pair("pan", smp.PAN, size=SIZE, decoder_interpolation=interpolation)
    parity.assert_same_statistics(*pair, size=SIZE)


def test_gradients_of_the_parameters():
    parity.assert_same_parameter_gradients(*parity.architecture_pair("pan", smp.PAN, size=SIZE), size=SIZE)


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
    parity.assert_scales_up("pan", (height, width), stride=4, **options)


@pytest.mark.parametrize("size", [64, 128])
def test_a_batch_of_one_trains(size):
    parity.assert_trains("pan", batch=1, size=(size, size))


WRONG = [
    ({"decoder_channels": 0}, "channels"),
    ({"decoder_interpolation": "linear"}, "interpolation"),
    ({"upsampling": 0}, "upsampling"),
    *parity.WRONG_OPTIONS,
]


@pytest.mark.parametrize(("options", "expected"), WRONG, ids=str)
def test_wrong_values_are_refused(options, expected):
    parity.assert_refused("pan", options, expected)


def test_what_it_needs_of_the_encoder_is_declared():
    parity.assert_refused(
        "pan", {"encoder_output_stride": 8}, r"encoder_output_stride of 16, 32, not 8", error=IncompatibleError
    )
    parity.assert_refused("pan", {"encoder_depth": 2}, r"encoder_depth 3..5, not 2", error=IncompatibleError)


@pytest.mark.parametrize("options", [{}, {"encoder_depth": 3}, {"encoder_depth": 4}], ids=str)
def test_an_encoder_without_the_level_at_one_half(options):
    parity.compare_over_reference_encoder("pan", smp.PAN, options, tolerance=1e-4, size=SIZE)


def test_checkpoints_are_read_both_ways(tmp_path):
    compared = compare({"classes": 3, "decoder_channels": 16})
    parity.assert_checkpoints_are_read_both_ways(*compared, tmp_path, smp.from_pretrained)
