"""UPerNet against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest
import torch

import smp_core
from smp_core.errors import IncompatibleError, OptionError

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

# The peer cannot run an instance norm: it meets one of a single pixel.
NORMS = (True, False, "batchnorm", "identity", {"type": "batchnorm", "momentum": 0.3, "eps": 1e-3})


def compare(options, size=(64, 128)):
    # The fusion is split by level, which reorders its sums.
    return parity.compare_architecture("upernet", smp.UPerNet, options, tolerance=1e-4, size=size)


ONE_AT_A_TIME = [
    {},
    *({"decoder_use_norm": norm} for norm in NORMS),
    {"encoder_depth": 3},
    {"encoder_depth": 4},
    {"decoder_channels": 100},
    *({"upsampling": factor} for factor in (1, 3, 8)),
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
        "encoder_depth": draw.randint(3, 5),
        "decoder_channels": draw.randrange(4, 120),
        "decoder_use_norm": draw.choice(NORMS),
        "upsampling": draw.choice((1, 2, 4)),
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


def test_training_mode_moves_the_same_statistics():
    ours, theirs = parity.architecture_pair("upernet", smp.UPerNet, decoder_channels=64)
    ours.train()
    theirs.train()
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    parity.assert_same_numbers(ours, theirs, x, tolerance=1e-4)
    reference = theirs.state_dict()
    for key, value in ours.state_dict().items():
        if key.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert parity.relative_difference(value, reference[key]) <= 1e-4, key
    parity.assert_same_gradients(ours, theirs, x)


@pytest.mark.parametrize("norm", ["layernorm", "instancenorm", {"type": "instancenorm", "affine": True}], ids=str)
def test_norms_that_the_peer_cannot_run(norm):
    options = {"decoder_use_norm": norm, "decoder_channels": 32}
    model = smp_core.create("upernet", "resnet18", encoder_weights=None, **options)
    x = torch.randn(2, 3, 50, 64, requires_grad=True)
    out = model(x)
    assert out.shape == (2, 1, 50, 64)
    out.mean().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    if norm != "instancenorm":  # the peer builds these, and fails when they run
        parity.assert_same_keys(model, smp.UPerNet("resnet18", encoder_weights=None, **options))


@pytest.mark.parametrize(("height", "width", "upsampling"), [(61, 50, 4), (1, 1, 4), (61, 50, 2), (61, 50, 5)])
def test_sizes_that_the_peer_refuses(height, width, upsampling):
    model = smp_core.create(
        "upernet", "resnet18", encoder_weights=None, decoder_channels=32, upsampling=upsampling
    ).eval()
    expected = tuple(-(-size * upsampling // 4) for size in (height, width))
    assert model(torch.zeros(1, 3, height, width)).shape == (1, 1, *expected)


def test_a_batch_of_one_trains():
    model = smp_core.create("upernet", "resnet18", encoder_weights=None, decoder_channels=32)
    model(torch.randn(1, 3, 64, 64)).mean().backward()


@pytest.mark.parametrize(
    "options",
    [
        {"decoder_channels": 0},
        {"decoder_channels": (256, 128)},
        {"decoder_use_norm": "groupnorm"},
        {"upsampling": 0},
        {"aux_params": {"class": 2}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(options):
    with pytest.raises(OptionError, match=next(iter(options)) if "norm" not in str(options) else "batchnorm"):
        smp_core.create("upernet", "resnet18", encoder_weights=None, **options)


def test_what_it_needs_of_the_encoder_is_declared():
    with pytest.raises(IncompatibleError, match=r"encoder_depth 3..8, not 2"):
        smp_core.create("upernet", "resnet18", encoder_weights=None, encoder_depth=2)


@pytest.mark.parametrize("options", [{}, {"encoder_depth": 3}, {"encoder_depth": 4}], ids=str)
def test_an_encoder_without_the_level_at_one_half(options):
    parity.compare_over_reference_encoder("upernet", smp.UPerNet, options, tolerance=1e-4, size=(64, 96))


def test_checkpoints_are_read_both_ways(tmp_path):
    ours, theirs, x = compare({"classes": 3, "decoder_channels": 32})
    theirs.save_pretrained(tmp_path / "theirs")
    from_theirs = smp_core.from_pretrained(tmp_path / "theirs")
    torch.testing.assert_close(from_theirs.predict(x), ours.predict(x), rtol=1e-5, atol=1e-5)
    ours.save_pretrained(tmp_path / "ours")
    from_ours = smp.from_pretrained(str(tmp_path / "ours")).eval()
    torch.testing.assert_close(from_ours(x), theirs(x), rtol=1e-5, atol=1e-5)
