"""Linknet against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest

from smp_linknet.decoder import LinknetDecoder

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

SIZE = (64, 128)  # the peer takes multiples of 32 only, and gradients are compared on half of it


def compare(options, *, size=SIZE, **arguments):
    # Convolutions of maps with channels innermost in memory sum in another order; that came to 1.8e-5.
    return parity.compare_architecture("linknet", smp.Linknet, options, tolerance=1e-4, size=size, **arguments)


ONE_AT_A_TIME = [
    {},
    *({"decoder_use_norm": norm} for norm in parity.NORMS),
    {"encoder_depth": 4},
    {"encoder_depth": 3},
    *parity.COMMON_OPTIONS,
]


@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(options):
    compare(options)


@pytest.mark.parametrize("seed", range(24))
def test_random_combinations(seed):
    draw = random.Random(seed)
    options = parity.draw_common_options(draw, norms=parity.NORMS)
    # Half of the smallest leaves two pixels: the peer cannot run an instance norm of one.
    compare(options, size=draw.choice(((64, 128), (128, 64), (128, 128))))


@pytest.mark.parametrize("options", [{}, {"decoder_use_norm": {"type": "batchnorm", "momentum": 0.3}}], ids=str)
def test_training_mode_moves_the_same_statistics(options):
    parity.assert_same_statistics(*parity.architecture_pair("linknet", smp.Linknet, **options))


def test_gradients_of_the_parameters():
    parity.assert_same_parameter_gradients(*parity.architecture_pair("linknet", smp.Linknet))


@pytest.mark.parametrize("encoder", ["resnet18", "resnet34", "resnet50"])
def test_other_encoders(encoder):
    compare({}, size=(64, 64), encoder=encoder)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_an_encoder_without_the_half_resolution(depth):
    parity.assert_same_decoder(LinknetDecoder, smp.Linknet, "tu-convnext_atto", encoder_depth=depth)


def test_an_encoder_with_a_stage_of_full_resolution():
    parity.assert_same_decoder(LinknetDecoder, smp.Linknet, "vgg11_bn")


def test_any_size():
    parity.assert_pads_any_size("linknet")


@pytest.mark.parametrize("norm", ["layernorm", "instancenorm"])
def test_norms_that_the_peer_cannot_run(norm):
    parity.assert_trains("linknet", decoder_use_norm=norm)


@pytest.mark.parametrize(("options", "expected"), [parity.WRONG_NORM, *parity.WRONG_OPTIONS], ids=str)
def test_a_wrong_value_is_answered_with_the_right_ones(options, expected):
    parity.assert_refused("linknet", options, expected)


def test_checkpoints_are_read_both_ways(tmp_path):
    compared = compare({"classes": 3}, size=(64, 64))
    parity.assert_checkpoints_are_read_both_ways(*compared, tmp_path, smp.from_pretrained)
