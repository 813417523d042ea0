"""MAnet against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest
import torch

import smp_core
from smp_core.errors import OptionError
from smp_manet.attention import PositionAttention
from smp_manet.decoder import MAnetDecoder

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
SIZE = (64, 128)  # the peer takes multiples of 32 only, and gradients are compared on half of it


def compare(options, *, size=SIZE, **arguments):
    return parity.compare_architecture("manet", smp.MAnet, options, tolerance=1e-4, size=size, **arguments)


ONE_AT_A_TIME = [
    {},
    *({"decoder_use_norm": norm} for norm in NORMS),
    *({"decoder_interpolation": mode} for mode in INTERPOLATIONS),
    *({"decoder_pab_channels": channels} for channels in (1, 7, 128)),
    {"decoder_channels": (64, 48, 24, 20, 9)},
    {"decoder_channels": [256, 128, 64, 32, 16]},
    {"encoder_depth": 4, "decoder_channels": (128, 64, 32, 16)},
    {"encoder_depth": 3, "decoder_channels": (64, 32, 16)},
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
        "decoder_channels": tuple(draw.randrange(4, 80) for _ in range(depth)),
        "decoder_interpolation": draw.choice(INTERPOLATIONS),
        "decoder_pab_channels": draw.randint(1, 80),
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


@pytest.mark.parametrize("options", [{}, {"decoder_interpolation": "bilinear"}], ids=str)
def test_training_mode_moves_the_same_statistics(options):
    ours, theirs = parity.architecture_pair("manet", smp.MAnet, **options)
    ours.train()
    theirs.train()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    parity.assert_same_numbers(ours, theirs, x, tolerance=1e-4)
    for (key, a), b in zip(ours.state_dict().items(), map(theirs.state_dict().get, ours.state_dict()), strict=True):
        if key.endswith(("running_mean", "running_var")):
            assert parity.relative_difference(a, b) <= 1e-4, key


def test_gradients_of_the_parameters():
    ours, theirs = (model.double().train() for model in parity.architecture_pair("manet", smp.MAnet))
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
    theirs = smp.MAnet(
        "tu-convnext_atto", encoder_weights=None, encoder_depth=depth, decoder_channels=(48, 40, 32, 24, 16)[:depth]
    ).eval()
    parity.randomise_norms(theirs)
    kept = [index for index, channels in enumerate(theirs.encoder.out_channels) if channels]
    channels = [theirs.encoder.out_channels[index] for index in kept]
    ours = MAnetDecoder(channels, [2**index for index in kept], (48, 40, 32, 24, 16)[:depth]).eval()
    parity.assert_same_keys(ours, theirs.decoder)
    ours.load_state_dict(theirs.decoder.state_dict())
    with torch.no_grad():
        features = theirs.encoder(torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(2)))
        difference = parity.relative_difference(ours([features[index] for index in kept]), theirs.decoder(features))
    assert difference <= 1e-4


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
    theirs = smp.MAnet("vgg11_bn", encoder_weights=None, decoder_channels=(48, 40, 32, 24, 16)).eval()
    parity.randomise_norms(theirs)
    ours = MAnetDecoder(theirs.encoder.out_channels, (1, 2, 4, 8, 16, 32), (48, 40, 32, 24, 16)).eval()
    parity.assert_same_keys(ours, theirs.decoder)
    ours.load_state_dict(theirs.decoder.state_dict())
    with torch.no_grad():
        features = theirs.encoder(torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(2)))
        assert parity.relative_difference(ours(features), theirs.decoder(features)) <= 1e-4


def test_any_size():
    model = smp_core.create("manet", "resnet18", encoder_weights=None, classes=2).eval()
    x = torch.randn(1, 3, 50, 65)
    padded = torch.nn.functional.pad(x, (0, 31, 0, 14))
    with torch.no_grad():
        torch.testing.assert_close(model(x), model(padded)[..., :50, :65], rtol=0, atol=0)


@pytest.mark.parametrize("norm", ["layernorm", "instancenorm"])
def test_norms_that_the_peer_cannot_run(norm):
    model = smp_core.create("manet", "resnet18", encoder_weights=None, decoder_use_norm=norm)
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
    ({"decoder_interpolation": "trilinear"}, "nearest, bilinear"),
    ({"decoder_channels": (64, 32)}, "takes 5 blocks"),
    ({"decoder_channels": (64, 32, 16, 8, 0)}, "at least 1"),
    ({"decoder_pab_channels": 0}, "at least 1"),
    ({"decoder_pab_channels": 6.5}, "int"),
]


@pytest.mark.parametrize(("options", "expected"), WRONG, ids=str)
def test_a_wrong_value_is_answered_with_the_right_ones(options, expected):
    with pytest.raises(OptionError, match=expected):
        smp_core.create("manet", "resnet18", encoder_weights=None, **options)


def test_checkpoints_are_read_both_ways(tmp_path):
    ours, theirs, x = compare({"classes": 3}, size=(64, 64))
    theirs.save_pretrained(tmp_path / "theirs")
    from_theirs = smp_core.from_pretrained(tmp_path / "theirs")
    # Not bit by bit: matrix products sum in an order that depends on where in memory the weights are.
    assert parity.relative_difference(from_theirs.predict(x), ours.predict(x)) <= 1e-5
    ours.save_pretrained(tmp_path / "ours")
    from_ours = smp.from_pretrained(str(tmp_path / "ours")).eval()
    assert parity.relative_difference(from_ours(x), theirs(x)) <= 1e-5
