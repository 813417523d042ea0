"""What the encoders refuse, and the padding that an exported graph must not decide on."""

import copy
import pickle

import pytest
import torch

import smp_core
from smp_core.errors import OptionError
from smp_efficientnet.blocks import DropConnect, DropPath, FixedPadding
from smp_efficientnet.encoder import EfficientNetEncoder, TimmEfficientNetEncoder

WIDTHS = (8, 8, 8, 8, 8, 8, 8, 8)
REPEATS = (1, 1, 1, 1, 1, 1, 1)


def test_a_wrong_number_of_widths():
    with pytest.raises(OptionError, match=r"8 widths .* and 7 repeats, got 2 and 7"):
        TimmEfficientNetEncoder(WIDTHS[:2], REPEATS)


@pytest.mark.parametrize("taps", [(1, 2, 3), (1, 2, 2, 3), (4, 2, 1, 0), (1, 2, 3, 7)])
def test_wrong_taps(taps):
    with pytest.raises(OptionError, match="4 increasing block indices below 7 as taps"):
        EfficientNetEncoder(WIDTHS, REPEATS, taps, 224)


@pytest.mark.parametrize("depth", [1, 6])
def test_a_wrong_depth(depth):
    with pytest.raises(OptionError, match=f"depth must be in .*, got {depth}"):
        EfficientNetEncoder(WIDTHS, REPEATS, (1, 2, 4, 6), 224, depth=depth)


def test_an_unknown_activation():
    with pytest.raises(OptionError, match="unknown activation 'gelu'; expected one of swish, relu6"):
        TimmEfficientNetEncoder(WIDTHS, REPEATS, "gelu")


@pytest.mark.parametrize(("size", "expected"), [(1, 3), (2, 3), (7, 8)])
def test_fixed_padding_leaves_enough_for_a_kernel(size, expected):
    padded = FixedPadding(0)(torch.ones(1, 1, size, size))
    assert padded.shape == (1, 1, expected, expected)
    assert padded.sum() == size**2
    assert padded[0, 0, 0, 0] == 1


@pytest.mark.parametrize("kind", [DropPath, DropConnect])
def test_drop_path_keeps_the_mean(kind):
    torch.manual_seed(0)
    layer, x = kind(0.25), torch.ones(4000, 1, 1, 1)
    out = layer(x)
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert layer.eval()(x) is x


@pytest.mark.parametrize("name", ["efficientnet-b0", "timm-tf_efficientnet_lite0"])
def test_copies(name):
    encoder = smp_core.create_encoder(name, weights=None, depth=3).eval()
    x = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
            assert all(torch.equal(a, b) for a, b in zip(encoder(x), other(x), strict=True))
