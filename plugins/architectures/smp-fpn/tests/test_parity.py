"""FPN against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

# Interpolated maps are added up before the last upsampling, where the peer adds them after it.
TOLERANCE = 1e-4


def compare(options, **arguments):
    # The gradients are computed on half of the image, whose size the peer must take too.
    return parity.compare_architecture("fpn", smp.FPN, options, tolerance=TOLERANCE, **{"size": (64, 128), **arguments})


ONE_AT_A_TIME = [
    {},
    *({"decoder_pyramid_channels": channels} for channels in (1, 33, 128)),
    *({"decoder_segmentation_channels": channels} for channels in (32, 64, 256)),
    *({"decoder_merge_policy": policy} for policy in ("add", "cat")),
    *({"decoder_dropout": probability} for probability in (0.0, 0.5)),
    *({"decoder_interpolation": mode} for mode in parity.INTERPOLATIONS),
    *({"encoder_depth": depth} for depth in (3, 4, 5)),
    *({"upsampling": factor} for factor in (1, 2, 4, 8)),
    {"encoder_depth": 3, "in_channels": 5, "upsampling": 1},
    *parity.COMMON_OPTIONS,
]


@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(options):
    compare(options)


def random_options(seed):
    draw = random.Random(seed)
    return parity.draw_common_options(draw, interpolations=parity.INTERPOLATIONS) | {
        "decoder_pyramid_channels": draw.randrange(4, 100),
        "decoder_segmentation_channels": draw.choice((32, 64, 96)),
        "decoder_merge_policy": draw.choice(("add", "cat")),
        "decoder_dropout": draw.choice((0.0, 0.2, 0.7)),
        "upsampling": draw.choice((1, 2, 4)),
    }


@pytest.mark.parametrize("seed", range(20))
def test_random_combinations(seed):
    draw = random.Random(1000 + seed)
    compare(random_options(seed), size=(64 * draw.randint(1, 2), 64 * draw.randint(1, 2)))


@pytest.mark.parametrize("encoder", ["resnet18", "resnet34", "resnet50"])
def test_other_resnets(encoder):
    compare({}, size=(64, 64), encoder=encoder)


def test_training_mode_moves_the_same_statistics():
    parity.assert_same_statistics(*parity.architecture_pair("fpn", smp.FPN, decoder_dropout=0.0), tolerance=TOLERANCE)


def test_gradients_of_the_parameters():
    pair = parity.architecture_pair("fpn", smp.FPN, encoder_depth=4, decoder_dropout=0.0)
    parity.assert_same_parameter_gradients(*pair)


def test_dropout_drops_what_the_peer_drops():
    parity.assert_same_dropout(*parity.architecture_pair("fpn", smp.FPN, decoder_dropout=0.5))


@pytest.mark.parametrize("encoder", ["mit_b0", "vgg11"])
def test_other_pyramids(encoder):
    options = {"classes": 2}
    parity.compare_over_reference_encoder("fpn", smp.FPN, options, encoder=encoder, tolerance=TOLERANCE)


def test_checkpoints_are_read_both_ways(tmp_path):
    compared = compare({"classes": 3, "decoder_merge_policy": "cat"})
    parity.assert_checkpoints_are_read_both_ways(*compared, tmp_path, smp.from_pretrained, tolerance=0)
