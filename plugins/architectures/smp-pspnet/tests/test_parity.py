"""PSPNet against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import functools
import random

import pytest

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity


def compare(options, size=(64, 128)):
    # The fusion is split by branch, which reorders its sums.
    return parity.compare_architecture("pspnet", smp.PSPNet, options, tolerance=1e-4, size=size)


ONE_AT_A_TIME = [
    {},
    *({"decoder_use_norm": norm} for norm in parity.NORMS),
    *({"encoder_depth": depth} for depth in (1, 2, 3, 4, 5)),
    *({"encoder_depth": depth, "upsampling": 2**depth} for depth in (1, 2, 4, 5)),
    {"psp_out_channels": 100},
    {"psp_dropout": 0.0},
    {"psp_dropout": 0.7},
    *({"upsampling": factor} for factor in (1, 3, 16)),
    {"in_channels": 5},
    *parity.COMMON_OPTIONS,
]


@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(options):
    compare(options)


def random_options(seed):
    draw = random.Random(seed)
    return parity.draw_common_options(draw, depths=(1, 2, 3, 4, 5), norms=parity.NORMS) | {
        "psp_out_channels": draw.randrange(4, 200),
        "psp_dropout": draw.choice((0.0, 0.2, 0.9)),
        "upsampling": draw.choice((1, 2, 4, 8)),
    }


@pytest.mark.parametrize("seed", range(20))
def test_random_combinations(seed):
    draw = random.Random(1000 + seed)
    compare(random_options(seed), size=(64 * draw.randint(1, 2), 64 * draw.randint(1, 3)))


@pytest.mark.parametrize("norm", ["batchnorm", {"type": "instancenorm", "affine": True}], ids=str)
def test_training_mode_moves_the_same_statistics(norm):
    pair = parity.architecture_pair("pspnet", smp.PSPNet, psp_dropout=0.0, decoder_use_norm=norm)
    parity.assert_same_statistics(*pair)


def test_gradients_of_the_parameters():
    parity.assert_same_parameter_gradients(*parity.architecture_pair("pspnet", smp.PSPNet, psp_dropout=0.0))


def test_dropout_drops_what_the_peer_drops():
    parity.assert_same_dropout(*parity.architecture_pair("pspnet", smp.PSPNet, psp_dropout=0.5))


@pytest.mark.parametrize("norm", ["layernorm", "instancenorm"])
def test_norms_that_the_peer_cannot_run(norm):
    parity.assert_trains("pspnet", decoder_use_norm=norm)


@pytest.mark.parametrize(
    ("height", "width", "upsampling"), [(61, 50, 8), (1, 1, 8), (61, 50, 4), (61, 50, 1), (9, 8, 16)]
)
def test_sizes_that_the_peer_refuses(height, width, upsampling):
    parity.assert_scales_up("pspnet", (height, width), stride=8, upsampling=upsampling)


def test_a_batch_of_one_trains():
    parity.assert_trains("pspnet", batch=1, size=(64, 64))


WRONG = [
    ({"psp_out_channels": 0}, "psp_out_channels"),
    ({"psp_out_channels": "512"}, "psp_out_channels"),
    ({"psp_dropout": 1.5}, "psp_dropout"),
    ({"psp_dropout": None}, "psp_dropout"),
    ({"upsampling": 0}, "upsampling"),
    parity.WRONG_NORM,
    *parity.WRONG_OPTIONS,
]


@pytest.mark.parametrize(("options", "expected"), WRONG, ids=str)
def test_wrong_values_are_refused(options, expected):
    parity.assert_refused("pspnet", options, expected)


@pytest.mark.parametrize("options", [{}, {"encoder_depth": 2}, {"encoder_depth": 5}], ids=str)
def test_an_encoder_without_the_level_at_one_half(options):
    parity.compare_over_reference_encoder("pspnet", smp.PSPNet, options, tolerance=1e-4, size=(64, 96))


def test_checkpoints_are_read_both_ways(tmp_path):
    compared = compare({"classes": 3, "psp_out_channels": 64})
    # The peer has stages of the encoder that this depth never runs; a file of ours holds none for them.
    read = functools.partial(smp.from_pretrained, strict=False)
    parity.assert_checkpoints_are_read_both_ways(*compared, tmp_path, read)
