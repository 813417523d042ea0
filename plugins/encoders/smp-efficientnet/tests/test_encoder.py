"""What the encoders refuse, and the padding that an exported graph must not decide on."""

import copy
import pickle

import pytest
import torch
from torch import nn

import smp_core
from smp_core.errors import OptionError
from smp_efficientnet.blocks import DropConnect, DropPath, StaticSameConv2d
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


@pytest.mark.parametrize(("size", "expected"), [(1, 1), (2, 1), (7, 3), (8, 4)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_same_padding_is_one_more_behind(kernel, size, expected):
    layer = StaticSameConv2d(1, 1, kernel, 2, bias=False)
    torch.nn.init.ones_(layer.weight)
    out = layer(torch.ones(1, 1, size, size))
    assert out.shape == (1, 1, expected, expected)
    seen = min(size, kernel - (kernel // 2 - 1))  # rows of the first window that lie in the map
    assert out[0, 0, 0, 0] == seen**2


def test_padding_modes_of_the_same_convolution():
    layer, x = StaticSameConv2d(1, 1, 3, 2, bias=False), torch.rand(1, 1, 8, 8)
    layer.padding_mode = "replicate"
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1), mode="replicate")
    assert torch.equal(layer(x), torch.nn.functional.conv2d(padded, layer.weight, stride=2))


@pytest.mark.parametrize("geometry", [(1,), (3, 1, 1), (3, 1, 2, 2), (1, 2)])
def test_other_geometries_of_it_are_plain(geometry):
    torch.manual_seed(0)
    layer, x = StaticSameConv2d(2, 4, *geometry), torch.rand(1, 2, 9, 9)
    plain = nn.Conv2d(2, 4, *geometry)
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x), plain(x))


@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnet-b1"])
def test_replaced_convolutions_pad_as_they_say(name):
    encoder = smp_core.create_encoder(name, weights=None).eval()
    shapes = [item.shape[1:] for item in encoder(torch.zeros(1, 3, 64, 64))[1:]]
    old = encoder._conv_stem
    encoder._conv_stem = nn.Conv2d(5, old.out_channels, 3, 2, 1, bias=False)
    replaced = 0
    for block in encoder._blocks:
        old = block._depthwise_conv
        if isinstance(old, StaticSameConv2d):
            geometry = {"stride": old.stride, "padding": old.padding, "groups": old.groups}
            block._depthwise_conv = nn.Conv2d(
                old.in_channels, old.out_channels, old.kernel_size, bias=False, **geometry
            )
            replaced += 1
    assert replaced
    assert [item.shape[1:] for item in encoder(torch.zeros(1, 5, 64, 64))[1:]] == shapes


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
