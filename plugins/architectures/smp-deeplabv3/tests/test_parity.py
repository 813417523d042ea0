"""DeepLabV3(+) against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest
import torch

from smp_core.errors import IncompatibleError

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

PEERS = {"deeplabv3": smp.DeepLabV3, "deeplabv3plus": smp.DeepLabV3Plus}
both = pytest.mark.parametrize("name", PEERS)


def compare(name, options, size=(64, 96)):
    # The projection is split by branch, which reorders its sums.
    return parity.compare_architecture(name, PEERS[name], options, tolerance=1e-4, size=size)


ONE_AT_A_TIME = [
    {},
    {"encoder_output_stride": 8},
    {"encoder_output_stride": 16},
    {"encoder_depth": 3},
    {"encoder_depth": 4},
    {"decoder_channels": 100},
    {"decoder_atrous_rates": (1, 2, 3)},
    {"decoder_atrous_rates": [6, 12, 18]},
    {"decoder_aspp_separable": True},
    {"decoder_aspp_separable": False},
    {"decoder_aspp_dropout": 0.0},
    {"decoder_aspp_dropout": 1.0},
    *({"upsampling": factor} for factor in (1, 3, 8)),
    {"in_channels": 5},
    *parity.COMMON_OPTIONS,
]


@both
@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(name, options):
    compare(name, options)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("stride", [8, 16])
def test_shallow_encoders(depth, stride):
    compare("deeplabv3", {"encoder_depth": depth, "encoder_output_stride": stride, "decoder_channels": 32})


def random_options(name, seed):
    draw = random.Random(seed)
    return parity.draw_common_options(draw, depths=range(1 if name == "deeplabv3" else 3, 6)) | {
        "encoder_output_stride": draw.choice((8, 16)),
        "decoder_channels": draw.randrange(4, 150),
        "decoder_atrous_rates": tuple(draw.randint(1, 40) for _ in range(3)),
        "decoder_aspp_separable": draw.random() < 0.5,
        "decoder_aspp_dropout": draw.choice((0.0, 0.5, 1.0)),
        "upsampling": draw.choice((None, 1, 4, 8) if name == "deeplabv3" else (1, 2, 4)),
    }


@both
@pytest.mark.parametrize("seed", range(20))
def test_random_combinations(name, seed):
    draw = random.Random(1000 + seed)
    compare(name, random_options(name, seed), size=(32 * draw.randint(1, 3), 32 * draw.randint(1, 3)))


@both
def test_training_mode_moves_the_same_statistics(name):
    parity.assert_same_statistics(*parity.architecture_pair(name, PEERS[name], decoder_aspp_dropout=0.0))


@both
def test_gradients_of_the_parameters(name):
    pair = parity.architecture_pair(name, PEERS[name], decoder_aspp_dropout=0.0)
    parity.assert_same_parameter_gradients(*pair)


@both
def test_dropout_drops_what_the_peer_drops(name):
    parity.assert_same_dropout(*parity.architecture_pair(name, PEERS[name]))


@both
@pytest.mark.parametrize(("height", "width", "upsampling"), [(61, 50, None), (1, 1, None), (61, 50, 2), (61, 50, 16)])
def test_sizes_that_the_peer_refuses(name, height, width, upsampling):
    options = {} if upsampling is None else {"upsampling": upsampling}
    parity.assert_scales_up(name, (height, width), stride=8 if name == "deeplabv3" else 4, **options)


@both
def test_a_batch_of_one_trains(name):
    model = parity.build(name)
    norm = next(module for module in model.modules() if type(module).__name__ == "PooledBatchNorm2d")
    before = norm.running_mean.clone()
    model(torch.randn(1, 3, 64, 64)).mean().backward()
    assert torch.equal(norm.running_mean, before)
    assert norm.weight.grad is not None
    model(torch.randn(2, 3, 64, 64))
    assert not torch.equal(norm.running_mean, before)


WRONG = [
    ({"decoder_channels": 0}, "decoder_channels"),
    ({"decoder_channels": (256,)}, "decoder_channels"),
    ({"decoder_atrous_rates": (1, 2)}, "decoder_atrous_rates"),
    ({"decoder_atrous_rates": (0, 1, 2)}, "decoder_atrous_rates"),
    ({"decoder_atrous_rates": 12}, "decoder_atrous_rates"),
    ({"decoder_aspp_dropout": -0.5}, "decoder_aspp_dropout"),
    ({"upsampling": 0}, "upsampling"),
    *parity.WRONG_OPTIONS,
]


@both
@pytest.mark.parametrize(("options", "expected"), WRONG, ids=str)
def test_wrong_values_are_refused(name, options, expected):
    parity.assert_refused(name, options, expected)


@both
def test_other_output_strides_are_refused(name):
    parity.assert_refused(
        name, {"encoder_output_stride": 32}, r"encoder_output_stride of 8, 16, not 32", error=IncompatibleError
    )


def test_old_checkpoints_number_the_parts():
    ours, theirs = parity.architecture_pair("deeplabv3", smp.DeepLabV3)
    names = {"decoder.aspp.": "decoder.0.", "decoder.conv.": "decoder.1.", "decoder.bn.": "decoder.2."}
    old = {}
    for key, value in theirs.state_dict().items():
        for new, number in names.items():
            key = key.replace(new, number)
        old[key] = value
    fresh = parity.build("deeplabv3").eval()
    fresh.load_state_dict(old)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(fresh(x), ours(x), rtol=0, atol=0)


@both
@pytest.mark.parametrize("options", [{}, {"encoder_depth": 3}, {"encoder_output_stride": 8}], ids=str)
def test_an_encoder_without_the_level_at_one_half(name, options):
    parity.compare_over_reference_encoder(name, PEERS[name], options, tolerance=1e-4)


@both
def test_checkpoints_are_read_both_ways(name, tmp_path):
    compared = compare(name, {"classes": 3, "decoder_channels": 64})
    parity.assert_checkpoints_are_read_both_ways(*compared, tmp_path, smp.from_pretrained)
