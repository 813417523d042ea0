"""DPT against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random
import warnings

import pytest
import torch
from torch import nn

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")
pytest.importorskip("smp_timm", reason="the encoders are timm's")

pytestmark = pytest.mark.parity

# Projections are applied before the interpolation, and tokens added after the linear layer.
TOLERANCE = 1e-4
SMALL = {"decoder_intermediate_channels": (16, 24, 32, 40), "decoder_fusion_channels": 32}


def pair(options, encoder="tu-vit_tiny_patch16_224"):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peer warns of readouts where there is nothing to read
        theirs = smp.DPT(encoder, encoder_weights=None, dynamic_img_size=True, **options).eval()
    parity.randomise_norms(theirs)
    ours = smp_core.create("dpt", encoder, encoder_weights=None, **options).eval()
    for part in ("decoder", "segmentation_head", "classification_head"):
        if getattr(ours, part) is not None:
            parity.assert_same_keys(getattr(ours, part), getattr(theirs, part))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def compare(options, size=(64, 96), **arguments):
    ours, theirs = pair(options, **arguments)
    x = parity.image(options.get("in_channels", 3), size)
    parity.assert_same_numbers(ours, theirs, x, tolerance=TOLERANCE)
    parity.assert_same_gradients(ours, theirs, x[:1, :, :64, :64])


ONE_AT_A_TIME = [
    {},
    *({"decoder_readout": readout} for readout in ("ignore", "add", "cat")),
    {"decoder_intermediate_channels": (8, 100, 60, 3)},
    {"decoder_fusion_channels": 48},
    {"encoder_output_indices": [0, 1, 2, 3]},
    {"encoder_output_indices": [11, 2, 5, -4]},
    *({"encoder_depth": depth, "decoder_intermediate_channels": (16,) * depth} for depth in (1, 2, 3)),
    *parity.COMMON_OPTIONS,
]


@pytest.mark.parametrize("options", ONE_AT_A_TIME, ids=str)
def test_each_option_alone(options):
    compare(options | {key: value for key, value in SMALL.items() if key not in options} if options else {})


def random_options(seed):
    draw = random.Random(seed)
    options = parity.draw_common_options(draw, depths=(1, 2, 3, 4))
    depth = options["encoder_depth"]
    if draw.random() < 0.5:
        options["encoder_output_indices"] = draw.sample(range(12), depth)
    return options | {
        "decoder_readout": draw.choice(("ignore", "add", "cat")),
        "decoder_intermediate_channels": tuple(draw.randrange(4, 80) for _ in range(depth)),
        "decoder_fusion_channels": draw.randrange(4, 80),
    }


@pytest.mark.parametrize("seed", range(20))
def test_random_combinations(seed):
    draw = random.Random(1000 + seed)
    compare(random_options(seed), size=(32 * draw.randint(2, 4), 32 * draw.randint(2, 4)))


@pytest.mark.parametrize("readout", ["ignore", "add", "cat"])
def test_transformer_without_prefix_tokens(readout):
    compare({**SMALL, "decoder_readout": readout}, encoder="tu-vit_medium_patch16_gap_240")


@pytest.mark.parametrize("readout", ["ignore", "add", "cat"])
def test_transformer_with_several_prefix_tokens(readout):
    compare({**SMALL, "decoder_readout": readout}, encoder="tu-vit_little_patch16_reg4_gap_256")


@pytest.mark.parametrize("encoder", ["tu-vit_small_patch8_224", "tu-vit_small_patch32_224"])
def test_other_patch_sizes(encoder):
    compare(SMALL, encoder=encoder)


def pair_without_dropout():
    models = pair(SMALL)
    for layer in (layer for model in models for layer in model.modules()):
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    return models


def test_training_mode_moves_the_same_statistics():
    parity.assert_same_statistics(*pair_without_dropout(), tolerance=TOLERANCE, same_order=False)


def test_gradients_of_the_parameters():
    parity.assert_same_parameter_gradients(*pair_without_dropout(), prefix="decoder")
