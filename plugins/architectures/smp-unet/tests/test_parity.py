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

# The fused layer, the sum of the two attention gates and maps with channels innermost in memory reorder sums.
TOLERANCE = 1e-4


def compare(options, **arguments):
    return parity.compare_architecture("unet", smp.Unet, options, tolerance=TOLERANCE, **arguments)


ONE_AT_A_TIME = [
    {},
    *({"decoder_use_norm": norm} for norm in parity.NORMS),
    *({"decoder_interpolation": mode} for mode in parity.INTERPOLATIONS),
    {"decoder_attention_type": "scse"},
    {"decoder_attention_type": "scse", "decoder_channels": (64, 50, 32, 24, 16)},
    {"decoder_channels": (64, 48, 24, 20, 9)},
    {"decoder_channels": [256, 128, 64, 32, 16]},
    {"encoder_depth": 4, "decoder_channels": (128, 64, 32, 16)},
    {"encoder_depth": 3, "decoder_channels": (64, 32, 16)},
    *({"in_channels": channels} for channels in (3, *range(5, 13))),
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


@pytest.mark.parametrize("seed", range(30))
def test_random_combinations(seed):
    draw = random.Random(1000 + seed)
    compare(random_options(seed), size=(draw.randint(33, 97), draw.randint(33, 97)))


@pytest.mark.parametrize(
    "options", [{}, {"decoder_attention_type": "scse"}, {"decoder_interpolation": "bilinear"}], ids=str
)
def test_training_mode_moves_the_same_statistics(options):
    parity.assert_same_statistics(*parity.architecture_pair("unet", smp.Unet, **options))


def test_gradients_of_the_parameters():
    parity.assert_same_parameter_gradients(*parity.architecture_pair("unet", smp.Unet))


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
    ours = smp_core.create("unet", parity.ENCODER, encoder_weights=None, **options)
    theirs = smp.Unet(parity.ENCODER, encoder_weights=None, **options)
    parity.assert_same_keys(ours, theirs)
    ours.load_state_dict(theirs.state_dict())
    with pytest.raises(RuntimeError, match="expected weight to be at least 1"):
        theirs(torch.zeros(2, 3, 32, 32))
    assert ours(torch.zeros(2, 3, 32, 32)).isfinite().all()


@pytest.mark.parametrize("norm", ["layernorm", "instancenorm"])
def test_norms_that_the_peer_cannot_run(norm):
    model = parity.assert_trains("unet", decoder_use_norm=norm)
    if norm == "layernorm":  # the peer builds it, and fails when it runs
        theirs = smp.Unet(parity.ENCODER, encoder_weights=None, decoder_use_norm=norm)
        parity.assert_same_keys(model, theirs)


def test_checkpoints_are_read_both_ways(tmp_path):
    compared = compare({"classes": 3, "decoder_channels": (64, 32, 16, 8, 8)})
    parity.assert_checkpoints_are_read_both_ways(*compared, tmp_path, smp.from_pretrained, tolerance=0)


@pytest.fixture(scope="module")
def small_pair():
    options = {"encoder_depth": 4, "decoder_channels": (16, 16, 8, 8)}
    return parity.architecture_pair("unet", smp.Unet, **options)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(height=st.integers(1, 97), width=st.integers(1, 97))
def test_any_size(small_pair, height, width):
    x = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height))
    parity.assert_same_numbers(*small_pair, x, tolerance=1e-4)
