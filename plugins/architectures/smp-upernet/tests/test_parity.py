"""UPerNet against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest

from smp_core.errors import IncompatibleError

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity


def compare(options, size=(64, 128)):
    # The fusion is split by level, which reorders its sums.
    return parity.compare_architecture("upernet", smp.UPerNet, options, tolerance=1e-4, size=size)


ONE_AT_A_TIME = [
    {},
    *({"decoder_use_norm": norm} for norm in parity.BATCH_NORMS),
    {"encoder_depth": 3},
    {"encoder_depth": 4},
    {"decoder_channels": 100},
    *({"upsampling": factor} for factor in (1, 3, 8)),
    {"in_channels": 5},
    *parity.COMMON_OPTIONS,
]


@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(options):
    compare(options)


def random_options(seed):
    draw = random.Random(seed)
    # Not an instance norm: the peer meets one of a single pixel, and cannot run it.
    return parity.draw_common_options(draw, norms=parity.BATCH_NORMS) | {
        "decoder_channels": draw.randrange(4, 120),
        "upsampling": draw.choice((1, 2, 4)),
    }


@pytest.mark.parametrize("seed", range(20))
def test_random_combinations(seed):
    draw = random.Random(1000 + seed)
    compare(random_options(seed), size=(64 * draw.randint(1, 2), 64 * draw.randint(1, 3)))


def test_training_mode_moves_the_same_statistics():
    pair = parity.architecture_pair("upernet", smp.UPerNet, decoder_channels=64)
    parity.assert_same_statistics(*pair, size=(64, 96))


def test_gradients_of_the_parameters():
    parity.assert_same_parameter_gradients(*parity.architecture_pair("upernet", smp.UPerNet, decoder_channels=64))


@pytest.mark.parametrize("norm", ["layernorm", "instancenorm", {"type": "instancenorm", "affine": True}], ids=str)
def test_norms_that_the_peer_cannot_run(norm):
    options = {"decoder_use_norm": norm, "decoder_channels": 32}
    model = parity.assert_trains("upernet", **options)
    if norm != "instancenorm":  # the peer builds these, and fails when they run
        parity.assert_same_keys(model, smp.UPerNet(parity.ENCODER, encoder_weights=None, **options))


@pytest.mark.parametrize(("height", "width", "upsampling"), [(61, 50, 4), (1, 1, 4), (61, 50, 2), (61, 50, 5)])
def test_sizes_that_the_peer_refuses(height, width, upsampling):
    parity.assert_scales_up("upernet", (height, width), stride=4, decoder_channels=32, upsampling=upsampling)


def test_a_batch_of_one_trains():
    parity.assert_trains("upernet", batch=1, size=(64, 64), decoder_channels=32)


WRONG = [
    ({"decoder_channels": 0}, "decoder_channels"),
    ({"decoder_channels": (256, 128)}, "decoder_channels"),
    ({"upsampling": 0}, "upsampling"),
    parity.WRONG_NORM,
    *parity.WRONG_OPTIONS,
]


@pytest.mark.parametrize(("options", "expected"), WRONG, ids=str)
def test_wrong_values_are_refused(options, expected):
    parity.assert_refused("upernet", options, expected)


def test_what_it_needs_of_the_encoder_is_declared():
    parity.assert_refused("upernet", {"encoder_depth": 2}, r"encoder_depth 3..8, not 2", error=IncompatibleError)


@pytest.mark.parametrize("options", [{}, {"encoder_depth": 3}, {"encoder_depth": 4}], ids=str)
def test_an_encoder_without_the_level_at_one_half(options):
    parity.compare_over_reference_encoder("upernet", smp.UPerNet, options, tolerance=1e-4, size=(64, 96))


def test_checkpoints_are_read_both_ways(tmp_path):
    compared = compare({"classes": 3, "decoder_channels": 32})
    parity.assert_checkpoints_are_read_both_ways(*compared, tmp_path, smp.from_pretrained)
