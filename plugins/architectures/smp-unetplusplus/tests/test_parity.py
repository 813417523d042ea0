"""Unet++ against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import functools
import random

import pytest

from smp_unetplusplus.decoder import UnetPlusPlusDecoder

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

SIZE = (64, 128)  # the peer takes multiples of 32 only, and gradients are compared on half of it

# The fused layer, the sum of the two attention gates and maps with channels innermost in memory reorder sums.
TOLERANCE = 1e-4


def compare(options, *, size=SIZE, **arguments):
    return parity.compare_architecture(
        "unetplusplus", smp.UnetPlusPlus, options, tolerance=TOLERANCE, size=size, **arguments
    )


ONE_AT_A_TIME = [
    {},
    *({"decoder_use_norm": norm} for norm in parity.NORMS),
    *({"decoder_interpolation": mode} for mode in parity.INTERPOLATIONS),
    {"decoder_attention_type": "scse"},
    {"decoder_attention_type": "scse", "decoder_channels": (64, 50, 32, 24, 16)},
    {"decoder_attention_type": "scse", "decoder_interpolation": "bilinear"},
    {"decoder_channels": (64, 48, 24, 20, 9)},
    {"decoder_channels": [256, 128, 64, 32, 16]},
    {"encoder_depth": 4, "decoder_channels": (128, 64, 32, 16)},
    {"encoder_depth": 3, "decoder_channels": (64, 32, 16)},
    *parity.COMMON_OPTIONS,
]


@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(options):
    compare(options)


def random_options(seed):
    draw = random.Random(seed)
    options = parity.draw_common_options(draw, norms=parity.NORMS, interpolations=parity.INTERPOLATIONS)
    attention = draw.choice((None, "scse"))
    fewest = 16 if attention else 4  # the peer cannot run an attention over fewer channels than it squeezes by
    channels = tuple(draw.randrange(fewest, 80) for _ in range(options["encoder_depth"]))
    return options | {"decoder_channels": channels, "decoder_attention_type": attention}


@pytest.mark.parametrize("seed", range(24))
def test_random_combinations(seed):
    # Half of the smallest leaves two pixels: the peer cannot run an instance norm of one.
    compare(random_options(seed), size=random.Random(1000 + seed).choice(((64, 128), (128, 64), (128, 128))))


@pytest.mark.parametrize(
    "options", [{}, {"decoder_attention_type": "scse"}, {"decoder_interpolation": "bilinear"}], ids=str
)
def test_training_mode_moves_the_same_statistics(options):
    pair = parity.architecture_pair("unetplusplus", smp.UnetPlusPlus, **options)
    parity.assert_same_statistics(*pair, same_order=False)


def test_gradients_of_the_parameters():
    parity.assert_same_parameter_gradients(*parity.architecture_pair("unetplusplus", smp.UnetPlusPlus))


@pytest.mark.parametrize("encoder", ["resnet18", "resnet34", "resnet50"])
def test_other_encoders(encoder):
    compare({}, size=(64, 64), encoder=encoder)


CHANNELS = (48, 40, 32, 24, 16)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_an_encoder_without_the_half_resolution(depth):
    build = functools.partial(UnetPlusPlusDecoder, decoder_channels=CHANNELS[:depth])
    options = {"encoder_depth": depth, "decoder_channels": CHANNELS[:depth]}
    parity.assert_same_decoder(build, smp.UnetPlusPlus, "tu-convnext_atto", tolerance=1e-4, **options)


def test_an_encoder_with_a_stage_of_full_resolution():
    # The peer never calls the centre block that it builds here, so ours has none.
    build = functools.partial(UnetPlusPlusDecoder, decoder_channels=CHANNELS, ignored_keys=["center."])
    parity.assert_same_decoder(
        build,
        smp.UnetPlusPlus,
        "vgg11_bn",
        tolerance=1e-4,
        dropped=lambda key: key.startswith("center."),
        decoder_channels=CHANNELS,
    )


def test_any_size():
    parity.assert_pads_any_size("unetplusplus")


@pytest.mark.parametrize("norm", ["layernorm", "instancenorm"])
def test_norms_that_the_peer_cannot_run(norm):
    parity.assert_trains("unetplusplus", decoder_use_norm=norm)


WRONG = [
    parity.WRONG_NORM,
    *parity.WRONG_OPTIONS,
    ({"decoder_interpolation": "trilinear"}, "nearest, bilinear"),
    ({"decoder_channels": (64, 32)}, "takes 5 blocks"),
    ({"decoder_channels": (64, 32, 16, 8, 0)}, "at least 1"),
    ({"decoder_attention_type": "cbam"}, "scse"),
]


@pytest.mark.parametrize(("options", "expected"), WRONG, ids=str)
def test_a_wrong_value_is_answered_with_the_right_ones(options, expected):
    parity.assert_refused("unetplusplus", options, expected)


def test_checkpoints_are_read_both_ways(tmp_path):
    compared = compare({"classes": 3}, size=(64, 64))
    parity.assert_checkpoints_are_read_both_ways(*compared, tmp_path, smp.from_pretrained)
