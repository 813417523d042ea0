"""Segformer against segmentation_models_pytorch 0.6.0: the same keys, and with its weights the same numbers."""

import random

import pytest
import torch

import smp_core

smp = pytest.importorskip("segmentation_models_pytorch", reason="the peer is installed in the parity session only")
parity = pytest.importorskip("smp_testing.parity")

pytestmark = pytest.mark.parity

# Every model sums the levels in another order than the peer.
TOLERANCE = 1e-4


def compare(options, **arguments):
    # The gradients are computed on half of the image, whose size the peer must take too.
    return parity.compare_architecture(
        "segformer", smp.Segformer, options, tolerance=TOLERANCE, **{"size": (64, 128), **arguments}
    )


ONE_AT_A_TIME = [
    {},
    *({"decoder_segmentation_channels": channels} for channels in (1, 17, 64, 512)),
    *({"encoder_depth": depth} for depth in (3, 4, 5)),
    *({"upsampling": factor} for factor in (1, 2, 4, 8)),
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
    options = {
        "encoder_depth": draw.choice((3, 4, 5)),
        "decoder_segmentation_channels": draw.randrange(4, 300),
        "upsampling": draw.choice((1, 2, 4)),
        "in_channels": draw.randint(1, 13),
        "classes": draw.randint(1, 6),
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


@pytest.mark.parametrize("seed", range(20))
def test_random_combinations(seed):
    draw = random.Random(1000 + seed)
    compare(random_options(seed), size=(64 * draw.randint(1, 2), 64 * draw.randint(1, 2)))


def test_other_resnets():
    compare({}, size=(64, 64), encoder="resnet34")
    compare({}, size=(64, 64), encoder="resnet50")


def test_training_mode_moves_the_same_statistics():
    ours, theirs = parity.architecture_pair("segformer", smp.Segformer)
    ours.train()
    theirs.train()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    parity.assert_same_numbers(ours, theirs, x, tolerance=TOLERANCE)
    for (key, a), (other, b) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert key == other
        if key.endswith(("running_mean", "running_var")):
            assert parity.relative_difference(a, b) <= TOLERANCE, key


def test_gradients_of_the_parameters():
    ours, theirs = parity.architecture_pair("segformer", smp.Segformer, encoder_depth=3)
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    for model in (ours, theirs):
        model.double()(x).square().mean().backward()
    reference = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert parity.relative_difference(parameter.grad, reference[name].grad) <= 1e-8, name


class PeersEncoder(torch.nn.Module):
    """The peer's own encoder as one of ours: without the input's dummy of no channels."""

    def __init__(self, encoder, reductions):
        super().__init__()
        self.encoder = encoder
        self.out_channels = tuple(channels for channels in encoder.out_channels if channels)
        self.reductions = reductions

    def forward(self, x):
        return [feature for feature in self.encoder(x) if feature.shape[1]]


@pytest.mark.parametrize(("name", "reductions"), [("mit_b0", (1, 4, 8, 16, 32)), ("vgg11", (1, 2, 4, 8, 16, 32))])
def test_other_pyramids(name, reductions):
    theirs = smp.Segformer(name, encoder_weights=None, classes=2)
    parity.randomise_norms(theirs)
    ours = smp_core.create("segformer", PeersEncoder(theirs.encoder, reductions), classes=2)
    for part in ("decoder", "segmentation_head"):
        parity.assert_same_keys(getattr(ours, part), getattr(theirs, part))
        getattr(ours, part).load_state_dict(getattr(theirs, part).state_dict())
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    parity.assert_same_numbers(ours.eval(), theirs.eval(), x, tolerance=TOLERANCE)


def test_checkpoints_are_read_both_ways(tmp_path):
    ours, theirs, x = compare({"classes": 3, "decoder_segmentation_channels": 32})
    theirs.save_pretrained(tmp_path / "theirs")
    from_theirs = smp_core.from_pretrained(tmp_path / "theirs")
    torch.testing.assert_close(from_theirs.predict(x), ours.predict(x), rtol=0, atol=0)
    ours.save_pretrained(tmp_path / "ours")
    from_ours = smp.from_pretrained(str(tmp_path / "ours")).eval()
    torch.testing.assert_close(from_ours(x), theirs(x), rtol=0, atol=0)
