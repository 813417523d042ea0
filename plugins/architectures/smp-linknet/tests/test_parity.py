"""Linknet against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest
import torch

import smp_core
from smp_core.errors import OptionError
from smp_linknet.decoder import LinknetDecoder

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
SIZE = (64, 128)  # the peer takes multiples of 32 only, and gradients are compared on half of it


def compare(options, *, size=SIZE, **arguments):
    return parity.compare_architecture("linknet", smp.Linknet, options, tolerance=1e-5, size=size, **arguments)


ONE_AT_A_TIME = [
    {},
    *({"decoder_use_norm": norm} for norm in NORMS),
    {"encoder_depth": 4},
    {"encoder_depth": 3},
    *({"in_channels": channels} for channels in (1, 2, 4, 13)),
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
    options = {
        "encoder_depth": depth,
        "in_channels": draw.randint(1, 13),
        "classes": draw.randint(1, 6),
        "decoder_use_norm": draw.choice(NORMS),
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


@pytest.mark.parametrize("seed", range(24))
def test_random_combinations(seed):
    compare(random_options(seed), size=random.Random(1000 + seed).choice(((64, 64), (64, 128), (128, 64))))


@pytest.mark.parametrize("options", [{}, {"decoder_use_norm": {"type": "batchnorm", "momentum": 0.3}}], ids=str)
def test_training_mode_moves_the_same_statistics(options):
    ours, theirs = parity.architecture_pair("linknet", smp.Linknet, **options)
    ours.train()
    theirs.train()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    parity.assert_same_numbers(ours, theirs, x, tolerance=1e-4)
    for (key, a), b in zip(ours.state_dict().items(), map(theirs.state_dict().get, ours.state_dict()), strict=True):
        if key.endswith(("running_mean", "running_var")):
            assert parity.relative_difference(a, b) <= 1e-4, key


def test_gradients_of_the_parameters():
    ours, theirs = (model.double().train() for model in parity.architecture_pair("linknet", smp.Linknet))
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)).double()
    for model in (ours, theirs):
        model(x).square().mean().backward()
    reference = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        # Before a norm a bias has no gradient but the rounding's, so the scale is the largest of all.
        difference = (parameter.grad - reference[name].grad).abs().max().item()
        assert difference <= 1e-9 * max(1.0, reference[name].grad.abs().max().item()), name


@pytest.mark.parametrize("encoder", ["resnet34", "resnet50"])
def test_other_encoders(encoder):
    compare({}, size=(64, 64), encoder=encoder)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_an_encoder_without_the_half_resolution(depth):
    theirs = smp.Linknet("tu-convnext_atto", encoder_weights=None, encoder_depth=depth).eval()
    parity.randomise_norms(theirs)
    kept = [index for index, channels in enumerate(theirs.encoder.out_channels) if channels]
    channels = [theirs.encoder.out_channels[index] for index in kept]
    ours = LinknetDecoder(channels, [2**index for index in kept]).eval()
    parity.assert_same_keys(ours, theirs.decoder)
    ours.load_state_dict(theirs.decoder.state_dict())
    with torch.no_grad():
        features = theirs.encoder(torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(2)))
        difference = parity.relative_difference(ours([features[index] for index in kept]), theirs.decoder(features))
    assert difference <= 1e-5


def test_an_encoder_with_a_stage_of_full_resolution():
    theirs = smp.Linknet("vgg11_bn", encoder_weights=None).eval()
    parity.randomise_norms(theirs)
    ours = LinknetDecoder(theirs.encoder.out_channels, (1, 2, 4, 8, 16, 32)).eval()
    parity.assert_same_keys(ours, theirs.decoder)
    ours.load_state_dict(theirs.decoder.state_dict())
    with torch.no_grad():
        features = theirs.encoder(torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(2)))
        assert parity.relative_difference(ours(features), theirs.decoder(features)) <= 1e-5


def test_any_size():
    model = smp_core.create("linknet", "resnet18", encoder_weights=None, classes=2).eval()
    x = torch.randn(1, 3, 50, 65)
    padded = torch.nn.functional.pad(x, (0, 31, 0, 14))
    with torch.no_grad():
        torch.testing.assert_close(model(x), model(padded)[..., :50, :65], rtol=0, atol=0)


@pytest.mark.parametrize("norm", ["layernorm", "instancenorm"])
def test_norms_that_the_peer_cannot_run(norm):
    model = smp_core.create("linknet", "resnet18", encoder_weights=None, decoder_use_norm=norm)
    x = torch.randn(2, 3, 50, 64, requires_grad=True)
    out = model(x)
    assert out.shape == (2, 1, 50, 64)
    out.square().mean().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0


WRONG = [
    ({"decoder_use_norm": "groupnorm"}, "batchnorm"),
    ({"activation": "relu"}, "sigmoid"),
    ({"aux_params": {"pooling": "avg"}}, "classes"),
]


@pytest.mark.parametrize(("options", "expected"), WRONG, ids=str)
def test_a_wrong_value_is_answered_with_the_right_ones(options, expected):
    with pytest.raises(OptionError, match=expected):
        smp_core.create("linknet", "resnet18", encoder_weights=None, **options)


def test_checkpoints_are_read_both_ways(tmp_path):
    ours, theirs, x = compare({"classes": 3}, size=(64, 64))
    theirs.save_pretrained(tmp_path / "theirs")
    from_theirs = smp_core.from_pretrained(tmp_path / "theirs")
    # Not bit by bit: matrix products sum in an order that depends on where in memory the weights are.
    assert parity.relative_difference(from_theirs.predict(x), ours.predict(x)) <= 1e-5
    ours.save_pretrained(tmp_path / "ours")
    from_ours = smp.from_pretrained(str(tmp_path / "ours")).eval()
    assert parity.relative_difference(from_ours(x), theirs(x)) <= 1e-5
