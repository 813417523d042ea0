"""PSPNet against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest
import torch

import smp_core
from smp_core.errors import OptionError

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

NORMS = (
    True,
    False,
    "batchnorm",
    "identity",
    {"type": "batchnorm", "momentum": 0.3, "eps": 1e-3},
    {"type": "instancenorm", "affine": True},
)


def compare(options, size=(64, 128)):
    # The fusion is split by branch, which reorders its sums.
    return parity.compare_architecture("pspnet", smp.PSPNet, options, tolerance=1e-4, size=size)


ONE_AT_A_TIME = [
    {},
    *({"decoder_use_norm": norm} for norm in NORMS),
    *({"encoder_depth": depth} for depth in (1, 2, 3, 4, 5)),
    *({"encoder_depth": depth, "upsampling": 2**depth} for depth in (1, 2, 4, 5)),
    {"psp_out_channels": 100},
    {"psp_dropout": 0.0},
    {"psp_dropout": 0.7},
    *({"upsampling": factor} for factor in (1, 3, 16)),
    {"in_channels": 1},
    {"in_channels": 5},
    {"classes": 5},
    {"classes": 4, "activation": "softmax2d"},
    {"aux_params": {"classes": 4, "pooling": "max", "dropout": 0.5, "activation": "sigmoid"}},
]


@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(options):
    compare(options)


def random_options(seed):
    draw = random.Random(seed)
    options = {
        "encoder_depth": draw.randint(1, 5),
        "psp_out_channels": draw.randrange(4, 200),
        "decoder_use_norm": draw.choice(NORMS),
        "psp_dropout": draw.choice((0.0, 0.2, 0.9)),
        "upsampling": draw.choice((1, 2, 4, 8)),
        "in_channels": draw.randint(1, 6),
        "classes": draw.randint(1, 6),
        "activation": draw.choice((None, "sigmoid", "softmax2d", "tanh")),
    }
    if draw.random() < 0.5:
        options["aux_params"] = {"classes": draw.randint(1, 6), "pooling": draw.choice(("avg", "max"))}
    return options


@pytest.mark.parametrize("seed", range(20))
def test_random_combinations(seed):
    draw = random.Random(1000 + seed)
    compare(random_options(seed), size=(64 * draw.randint(1, 2), 64 * draw.randint(1, 3)))


@pytest.mark.parametrize("norm", ["batchnorm", {"type": "instancenorm", "affine": True}], ids=str)
def test_training_mode_moves_the_same_statistics(norm):
    ours, theirs = parity.architecture_pair("pspnet", smp.PSPNet, psp_dropout=0.0, decoder_use_norm=norm)
    ours.train()
    theirs.train()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    parity.assert_same_numbers(ours, theirs, x, tolerance=1e-4)
    reference = theirs.state_dict()
    for key, value in ours.state_dict().items():
        if key.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert parity.relative_difference(value, reference[key]) <= 1e-4, key
    parity.assert_same_gradients(ours, theirs, x)


def test_dropout_drops_what_the_peer_drops():
    ours, theirs = parity.architecture_pair("pspnet", smp.PSPNet, psp_dropout=0.5)
    x = torch.randn(2, 3, 64, 64)
    outputs = []
    for model in (ours, theirs):
        model.decoder.dropout.train()
        torch.manual_seed(3)
        outputs.append(model(x))
    assert parity.relative_difference(*outputs) <= 1e-4


@pytest.mark.parametrize("norm", ["layernorm", "instancenorm"])
def test_norms_that_the_peer_cannot_run(norm):
    model = smp_core.create("pspnet", "resnet18", encoder_weights=None, decoder_use_norm=norm)
    x = torch.randn(2, 3, 50, 64, requires_grad=True)
    out = model(x)
    assert out.shape == (2, 1, 50, 64)
    out.mean().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("height", "width", "upsampling"), [(61, 50, 8), (1, 1, 8), (61, 50, 4), (61, 50, 1), (9, 8, 16)]
)
def test_sizes_that_the_peer_refuses(height, width, upsampling):
    model = smp_core.create("pspnet", "resnet18", encoder_weights=None, upsampling=upsampling).eval()
    expected = tuple(-(-size * upsampling // 8) for size in (height, width))
    assert model(torch.zeros(1, 3, height, width)).shape == (1, 1, *expected)


def test_a_batch_of_one_trains():
    model = smp_core.create("pspnet", "resnet18", encoder_weights=None)
    model(torch.randn(1, 3, 64, 64)).mean().backward()


@pytest.mark.parametrize(
    "options",
    [
        {"psp_out_channels": 0},
        {"psp_out_channels": "512"},
        {"psp_dropout": 1.5},
        {"psp_dropout": None},
        {"upsampling": 0},
        {"decoder_use_norm": "groupnorm"},
        {"aux_params": {"class": 2}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(options):
    with pytest.raises(OptionError, match=next(iter(options)) if "norm" not in str(options) else "batchnorm"):
        smp_core.create("pspnet", "resnet18", encoder_weights=None, **options)


@pytest.mark.parametrize("options", [{}, {"encoder_depth": 2}, {"encoder_depth": 5}], ids=str)
def test_an_encoder_without_the_level_at_one_half(options):
    parity.compare_over_reference_encoder("pspnet", smp.PSPNet, options, tolerance=1e-4, size=(64, 96))


def test_checkpoints_are_read_both_ways(tmp_path):
    ours, theirs, x = compare({"classes": 3, "psp_out_channels": 64})
    theirs.save_pretrained(tmp_path / "theirs")
    from_theirs = smp_core.from_pretrained(tmp_path / "theirs")
    torch.testing.assert_close(from_theirs.predict(x), ours.predict(x), rtol=1e-5, atol=1e-5)
    ours.save_pretrained(tmp_path / "ours")
    # The peer has stages of the encoder that this depth never runs; a file of ours holds none for them.
    from_ours = smp.from_pretrained(str(tmp_path / "ours"), strict=False).eval()
    torch.testing.assert_close(from_ours(x), theirs(x), rtol=1e-5, atol=1e-5)
