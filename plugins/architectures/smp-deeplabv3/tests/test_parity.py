"""DeepLabV3(+) against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest
import torch

import smp_core
from smp_core.errors import IncompatibleError, OptionError

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
    {"in_channels": 1},
    {"in_channels": 5},
    {"classes": 5},
    {"classes": 4, "activation": "softmax2d"},
    {"aux_params": {"classes": 4, "pooling": "max", "dropout": 0.5, "activation": "sigmoid"}},
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
    options = {
        "encoder_depth": draw.randint(1 if name == "deeplabv3" else 3, 5),
        "encoder_output_stride": draw.choice((8, 16)),
        "decoder_channels": draw.randrange(4, 150),
        "decoder_atrous_rates": tuple(draw.randint(1, 40) for _ in range(3)),
        "decoder_aspp_separable": draw.random() < 0.5,
        "decoder_aspp_dropout": draw.choice((0.0, 0.5, 1.0)),
        "upsampling": draw.choice((None, 1, 4, 8) if name == "deeplabv3" else (1, 2, 4)),
        "in_channels": draw.randint(1, 6),
        "classes": draw.randint(1, 6),
        "activation": draw.choice((None, "sigmoid", "softmax2d", "tanh")),
    }
    if draw.random() < 0.5:
        options["aux_params"] = {"classes": draw.randint(1, 6), "pooling": draw.choice(("avg", "max"))}
    return options


@both
@pytest.mark.parametrize("seed", range(20))
def test_random_combinations(name, seed):
    draw = random.Random(1000 + seed)
    compare(name, random_options(name, seed), size=(32 * draw.randint(1, 3), 32 * draw.randint(1, 3)))


@both
def test_training_mode_moves_the_same_statistics(name):
    ours, theirs = parity.architecture_pair(name, PEERS[name], decoder_aspp_dropout=0.0)
    ours.train()
    theirs.train()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    parity.assert_same_numbers(ours, theirs, x, tolerance=1e-4)
    reference = theirs.state_dict()
    for key, value in ours.state_dict().items():
        if key.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert parity.relative_difference(value, reference[key]) <= 1e-4, key
    parity.assert_same_gradients(ours, theirs, x)


@both
def test_dropout_drops_what_the_peer_drops(name):
    ours, theirs = parity.architecture_pair(name, PEERS[name])
    x = torch.randn(2, 3, 64, 64)
    outputs = []
    for model in (ours, theirs):
        for module in model.decoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.train()
        torch.manual_seed(3)
        outputs.append(model(x))
    assert parity.relative_difference(*outputs) <= 1e-4


@both
@pytest.mark.parametrize(("height", "width", "upsampling"), [(61, 50, None), (1, 1, None), (61, 50, 2), (61, 50, 16)])
def test_sizes_that_the_peer_refuses(name, height, width, upsampling):
    default = 8 if name == "deeplabv3" else 4
    options = {} if upsampling is None else {"upsampling": upsampling}
    model = smp_core.create(name, "resnet18", encoder_weights=None, **options).eval()
    expected = tuple(-(-size * (upsampling or default) // default) for size in (height, width))
    assert model(torch.zeros(1, 3, height, width)).shape == (1, 1, *expected)


@both
def test_a_batch_of_one_trains(name):
    model = smp_core.create(name, "resnet18", encoder_weights=None)
    norm = next(module for module in model.modules() if type(module).__name__ == "PooledBatchNorm2d")
    before = norm.running_mean.clone()
    model(torch.randn(1, 3, 64, 64)).mean().backward()
    assert torch.equal(norm.running_mean, before)
    assert norm.weight.grad is not None
    model(torch.randn(2, 3, 64, 64))
    assert not torch.equal(norm.running_mean, before)


@both
@pytest.mark.parametrize(
    "options",
    [
        {"decoder_channels": 0},
        {"decoder_channels": (256,)},
        {"decoder_atrous_rates": (1, 2)},
        {"decoder_atrous_rates": (0, 1, 2)},
        {"decoder_atrous_rates": 12},
        {"decoder_aspp_dropout": -0.5},
        {"upsampling": 0},
        {"aux_params": {"class": 2}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        smp_core.create(name, "resnet18", encoder_weights=None, **options)


@both
def test_other_output_strides_are_refused(name):
    with pytest.raises(IncompatibleError, match=r"encoder_output_stride of 8, 16, not 32"):
        smp_core.create(name, "resnet18", encoder_weights=None, encoder_output_stride=32)


def test_old_checkpoints_number_the_parts():
    ours, theirs = parity.architecture_pair("deeplabv3", smp.DeepLabV3)
    names = {"decoder.aspp.": "decoder.0.", "decoder.conv.": "decoder.1.", "decoder.bn.": "decoder.2."}
    old = {}
    for key, value in theirs.state_dict().items():
        for new, number in names.items():
            key = key.replace(new, number)
        old[key] = value
    fresh = smp_core.create("deeplabv3", "resnet18", encoder_weights=None).eval()
    fresh.load_state_dict(old)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(fresh(x), ours(x), rtol=0, atol=0)


@both
@pytest.mark.parametrize("options", [{}, {"encoder_depth": 3}, {"encoder_output_stride": 8}], ids=str)
def test_an_encoder_without_the_level_at_one_half(name, options):
    parity.compare_over_reference_encoder(name, PEERS[name], options, tolerance=1e-4)


@both
def test_checkpoints_are_read_both_ways(name, tmp_path):
    ours, theirs, x = compare(name, {"classes": 3, "decoder_channels": 64})
    theirs.save_pretrained(tmp_path / "theirs")
    from_theirs = smp_core.from_pretrained(tmp_path / "theirs")
    torch.testing.assert_close(from_theirs.predict(x), ours.predict(x), rtol=1e-5, atol=1e-5)
    ours.save_pretrained(tmp_path / "ours")
    from_ours = smp.from_pretrained(str(tmp_path / "ours")).eval()
    torch.testing.assert_close(from_ours(x), theirs(x), rtol=1e-5, atol=1e-5)
