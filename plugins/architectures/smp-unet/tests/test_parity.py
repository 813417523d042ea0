"""Unet against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area", "nearest-exact")
NORMS = (
    True,
    False,
    "batchnorm",
    "identity",
    {"type": "batchnorm", "momentum": 0.3, "eps": 1e-3},
    {"type": "instancenorm", "affine": True},
)


def tolerance(options):
    """The fused layer and the sum of the two attention gates reorder sums; where neither runs, nothing does."""
    reordered = options.get("decoder_interpolation", "nearest") == "nearest" or options.get("decoder_attention_type")
    return 1e-4 if reordered else 1e-5


def compare(options, **arguments):
    return parity.compare_architecture("unet", smp.Unet, options, tolerance=tolerance(options), **arguments)


ONE_AT_A_TIME = [
    {},
    *({"decoder_use_norm": norm} for norm in NORMS),
    *({"decoder_interpolation": mode} for mode in INTERPOLATIONS),
    {"decoder_attention_type": "scse"},
    {"decoder_attention_type": "scse", "decoder_channels": (64, 50, 32, 24, 16)},
    {"decoder_channels": (64, 48, 24, 20, 9)},
    {"decoder_channels": [256, 128, 64, 32, 16]},
    {"encoder_depth": 4, "decoder_channels": (128, 64, 32, 16)},
    {"encoder_depth": 3, "decoder_channels": (64, 32, 16)},
    *({"in_channels": channels} for channels in range(1, 14)),
    {"classes": 5},
    *({"classes": 4, "activation": name} for name in ("sigmoid", "softmax2d", "tanh", "identity", "clamp")),
    {"classes": 4, "activation": torch.nn.Sigmoid},
    {"aux_params": {"classes": 4}},
    {"aux_params": {"classes": 4, "pooling": "max", "dropout": 0.5, "activation": "sigmoid"}},
]


@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(options):
    compare(options)


def random_options(seed):
    draw = random.Random(seed)
    depth = draw.choice((3, 4, 5))
    attention = draw.choice((None, "scse"))
    fewest = 16 if attention else 4  # the peer cannot run an attention over fewer channels than it squeezes by
    options = {
        "encoder_depth": depth,
        "decoder_channels": tuple(draw.randrange(fewest, 80) for _ in range(depth)),
        "in_channels": draw.randint(1, 13),
        "classes": draw.randint(1, 6),
        "decoder_use_norm": draw.choice(NORMS),
        "decoder_interpolation": draw.choice(INTERPOLATIONS),
        "decoder_attention_type": attention,
        "activation": draw.choice((None, "sigmoid", "softmax2d", "tanh")),
    }
    if draw.random() < 0.5:
        options["aux_params"] = {
            "classes": draw.randint(1, 6),
            "pooling": draw.choice(("avg", "max")),
            "dropout": draw.choice((0.0, 0.3)),
            "activation": draw.choice((None, "sigmoid")),
        }
    return options


@pytest.mark.parametrize("seed", range(30))
def test_random_combinations(seed):
    draw = random.Random(1000 + seed)
    compare(random_options(seed), size=(draw.randint(33, 97), draw.randint(33, 97)))


@pytest.mark.parametrize(
    "options", [{}, {"decoder_attention_type": "scse"}, {"decoder_interpolation": "bilinear"}], ids=str
)
def test_training_mode_moves_the_same_statistics(options):
    ours, theirs = parity.architecture_pair("unet", smp.Unet, **options)
    ours.train()
    theirs.train()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    parity.assert_same_numbers(ours, theirs, x, tolerance=1e-4)
    for (key, a), (other, b) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert key == other
        if key.endswith(("running_mean", "running_var")):
            assert parity.relative_difference(a, b) <= 1e-4, key


@pytest.mark.parametrize(
    "encoder",
    [
        *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
        *("resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d"),
        pytest.param("resnext101_32x16d", marks=pytest.mark.slow),
        pytest.param("resnext101_32x32d", marks=pytest.mark.slow),
        pytest.param("resnext101_32x48d", marks=pytest.mark.slow),
    ],
)
def test_every_resnet(encoder):
    huge = encoder in ("resnext101_32x32d", "resnext101_32x48d")  # two of them in float64 do not fit a small machine
    compare({}, size=(64, 64), encoder=encoder, gradients=not huge)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")  # the peer's
def test_attention_over_few_channels_that_the_peer_cannot_run():
    options = {"decoder_attention_type": "scse", "decoder_channels": (64, 32, 16, 12, 8)}
    ours = smp_core.create("unet", "resnet18", encoder_weights=None, **options)
    theirs = smp.Unet("resnet18", encoder_weights=None, **options)
    parity.assert_same_keys(ours, theirs)
    ours.load_state_dict(theirs.state_dict())
    with pytest.raises(RuntimeError, match="expected weight to be at least 1"):
        theirs(torch.zeros(2, 3, 32, 32))
    assert ours(torch.zeros(2, 3, 32, 32)).isfinite().all()


@pytest.mark.parametrize("norm", ["layernorm", "instancenorm"])
def test_norms_that_the_peer_cannot_run(norm):
    model = smp_core.create("unet", "resnet18", encoder_weights=None, decoder_use_norm=norm)
    x = torch.randn(2, 3, 50, 64, requires_grad=True)
    out = model(x)
    assert out.shape == (2, 1, 50, 64)
    out.mean().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0
    if norm == "layernorm":  # the peer builds it, and fails when it runs
        theirs = smp.Unet("resnet18", encoder_weights=None, decoder_use_norm=norm)
        parity.assert_same_keys(model, theirs)


def test_checkpoints_are_read_both_ways(tmp_path):
    ours, theirs, x = compare({"classes": 3, "decoder_channels": (64, 32, 16, 8, 8)})
    theirs.save_pretrained(tmp_path / "theirs")
    from_theirs = smp_core.from_pretrained(tmp_path / "theirs")
    torch.testing.assert_close(from_theirs.predict(x), ours.predict(x), rtol=0, atol=0)
    ours.save_pretrained(tmp_path / "ours")
    from_ours = smp.from_pretrained(str(tmp_path / "ours")).eval()
    torch.testing.assert_close(from_ours(x), theirs(x), rtol=0, atol=0)


@pytest.fixture(scope="module")
def small_pair():
    options = {"encoder_depth": 4, "decoder_channels": (16, 16, 8, 8)}
    return parity.architecture_pair("unet", smp.Unet, **options)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 97), width=st.integers(1, 97))
def test_any_size(small_pair, height, width):
    x = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height))
    parity.assert_same_numbers(*small_pair, x, tolerance=1e-4)
