"""Segformer against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

# Every model sums the levels in another order than the peer.
TOLERANCE = 1e-4


def compare(options, **arguments):
    # The gradients are computed on half of the image, whose size the peer must take too.
    return parity.compare_architecture(
        "segformer", smp.Segformer, options, tolerance=TOLERANCE, **{"size": (64, 128), **arguments}
    )


ONE_AT_A_TIME = [
    {},
    *({"decoder_segmentation_channels": channels} for channels in (1, 17, 64, 512)),
    *({"encoder_depth": depth} for depth in (3, 4, 5)),
    *({"upsampling": factor} for factor in (1, 2, 4, 8)),
    *parity.COMMON_OPTIONS,
]


@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(options):
    compare(options)


def random_options(seed):
    draw = random.Random(seed)
    return parity.draw_common_options(draw) | {
        "decoder_segmentation_channels": draw.randrange(4, 300),
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
    parity.assert_same_statistics(*parity.architecture_pair("segformer", smp.Segformer), tolerance=TOLERANCE)


def test_gradients_of_the_parameters():
    pair = parity.architecture_pair("segformer", smp.Segformer, encoder_depth=3)
    parity.assert_same_parameter_gradients(*pair)


@pytest.mark.parametrize("encoder", ["mit_b0", "vgg11"])
def test_other_pyramids(encoder):
    options = {"classes": 2}
    parity.compare_over_reference_encoder("segformer", smp.Segformer, options, encoder=encoder, tolerance=TOLERANCE)


def test_checkpoints_are_read_both_ways(tmp_path):
    compared = compare({"classes": 3, "decoder_segmentation_channels": 32})
    parity.assert_checkpoints_are_read_both_ways(*compared, tmp_path, smp.from_pretrained, tolerance=0)
