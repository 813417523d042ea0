"""MAnet against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import functools
import random

import pytest
import torch

from smp_manet.attention import PositionAttention
from smp_manet.decoder import MAnetDecoder

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

SIZE = (64, 128)  # the peer takes multiples of 32 only, and gradients are compared on half of it


def compare(options, *, size=SIZE, **arguments):
    return parity.compare_architecture("manet", smp.MAnet, options, tolerance=1e-4, size=size, **arguments)


ONE_AT_A_TIME = [
    {},
    *({"decoder_use_norm": norm} for norm in parity.NORMS),
    *({"decoder_interpolation": mode} for mode in parity.INTERPOLATIONS),
    *({"decoder_pab_channels": channels} for channels in (1, 7, 128)),
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
    channels = tuple(draw.randrange(4, 80) for _ in range(options["encoder_depth"]))
    return options | {"decoder_channels": channels, "decoder_pab_channels": draw.randint(1, 80)}


@pytest.mark.parametrize("seed", range(24))
def test_random_combinations(seed):
    # Half of the smallest leaves two pixels: the peer cannot run an instance norm of one.
    compare(random_options(seed), size=random.Random(1000 + seed).choice(((64, 128), (128, 64), (128, 128))))


@pytest.mark.parametrize("options", [{}, {"decoder_interpolation": "bilinear"}], ids=str)
def test_training_mode_moves_the_same_statistics(options):
    parity.assert_same_statistics(*parity.architecture_pair("manet", smp.MAnet, **options))


def test_gradients_of_the_parameters():
    parity.assert_same_parameter_gradients(*parity.architecture_pair("manet", smp.MAnet))


@pytest.mark.parametrize("encoder", ["resnet18", "resnet34", "resnet50"])
def test_other_encoders(encoder):
    compare({}, size=(64, 64), encoder=encoder)


CHANNELS = (48, 40, 32, 24, 16)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_an_encoder_without_the_half_resolution(depth):
    build = functools.partial(MAnetDecoder, decoder_channels=CHANNELS[:depth])
    options = {"encoder_depth": depth, "decoder_channels": CHANNELS[:depth]}
    parity.assert_same_decoder(build, smp.MAnet, "tu-convnext_atto", tolerance=1e-4, **options)


def reference_attention(block, x):
    """As published, with the reshape of the peer: softmax over all pairs, positions by channels read as the map."""
    n, channels, height, width = x.shape
    top, center = block.top_conv(x).flatten(2), block.center_conv(x).flatten(2)
    scores = center.transpose(1, 2) @ top
    weights = torch.softmax(scores.flatten(1), dim=1).view_as(scores)
    attended = weights @ block.bottom_conv(x).flatten(2).transpose(1, 2)
    return block.out_conv(x + attended.reshape(n, channels, height, width))


@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0, 1000.0])
def test_attention_that_weighs(scale):
    ours, theirs = parity.architecture_pair("manet", smp.MAnet)
    mine, reference = ours.decoder.center.double(), theirs.decoder.center.double()
    x = torch.randn(2, 512, 5, 7, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        for block in (mine, reference):  # freshly initialised, every pair weighs almost the same
            block.top_conv.weight.mul_(scale / (block.center_conv(x).std() * block.top_conv(x).std() * 8))
            block.bottom_conv.weight.mul_(35)
    gradients = []
    for block in (mine, reference):
        image = x.clone().requires_grad_()
        out = block(image)
        gradients.append((out, *torch.autograd.grad((out * x).sum(), [image, block.top_conv.weight])))
    assert parity.relative_difference(gradients[0][0], reference_attention(mine, x)) <= 1e-12
    for a, b in zip(*gradients, strict=True):
        # Where one pair has all the weight, the scores have no gradient but the rounding's.
        assert (a - b).abs().max() <= 1e-9 * max(1.0, b.abs().max().item())


def test_attention_in_half_precision_does_not_overflow():
    block = PositionAttention(8, 4).eval()
    torch.nn.init.zeros_(
        block.top_conv.weight
    )  # all of the 2**18 squared pairs weigh the same, their sum is beyond half
    x = torch.randn(1, 8, 16, 32)
    with torch.no_grad():
        expected = block(x)
        out = block.half()(x.half())
    assert parity.relative_difference(out.float(), expected) <= 1e-2


def test_a_skip_of_fewer_channels_than_the_gate_squeezes_by():
    theirs = smp.MAnet("tu-mobilenetv2_035", encoder_weights=None)
    channels = theirs.encoder.out_channels
    ours = MAnetDecoder(channels, (1, 2, 4, 8, 16, 32), (256, 128, 64, 32, 16))
    parity.assert_same_keys(ours, theirs.decoder)


def test_an_encoder_with_a_stage_of_full_resolution():
    build = functools.partial(MAnetDecoder, decoder_channels=CHANNELS)
    parity.assert_same_decoder(build, smp.MAnet, "vgg11_bn", tolerance=1e-4, decoder_channels=CHANNELS)


def test_any_size():
    parity.assert_pads_any_size("manet")


@pytest.mark.parametrize("norm", ["layernorm", "instancenorm"])
def test_norms_that_the_peer_cannot_run(norm):
    parity.assert_trains("manet", decoder_use_norm=norm)


WRONG = [
    parity.WRONG_NORM,
    *parity.WRONG_OPTIONS,
    ({"decoder_interpolation": "trilinear"}, "nearest, bilinear"),
    ({"decoder_channels": (64, 32)}, "takes 5 blocks"),
    ({"decoder_channels": (64, 32, 16, 8, 0)}, "at least 1"),
    ({"decoder_pab_channels": 0}, "at least 1"),
    ({"decoder_pab_channels": 6.5}, "int"),
]


@pytest.mark.parametrize(("options", "expected"), WRONG, ids=str)
def test_a_wrong_value_is_answered_with_the_right_ones(options, expected):
    parity.assert_refused("manet", options, expected)


def test_checkpoints_are_read_both_ways(tmp_path):
    compared = compare({"classes": 3}, size=(64, 64))
    parity.assert_checkpoints_are_read_both_ways(*compared, tmp_path, smp.from_pretrained)
