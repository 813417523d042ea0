"""Norms, activations, attention and initialisation, each against its definition written down a second time."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from toy_models import ToyEncoder, ToyModel, randomise

from smp_core.errors import OptionError
from smp_core.layers import (
    SCSE,
    ConvNormAct,
    LayerNorm2d,
    build_activation,
    build_attention,
    build_norm,
    initialise_decoder,
    initialise_head,
)
from smp_core.layers.norm import norm_has_activation, norm_name

maps = st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 7), st.integers(2, 7))


def random_map(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3 + 1


def normalised(x: np.ndarray, axes: tuple[int, ...], eps: float = 1e-5) -> np.ndarray:
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps)


# --- norms


@given(maps)
def test_batchnorm(shape: tuple[int, ...]) -> None:
    x = random_map(shape)
    norm = build_norm("batchnorm", shape[1]).double()
    randomise(norm)
    weight, bias = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    expected = normalised(x.numpy(), (0, 2, 3)) * weight[:, None, None] + bias[:, None, None]
    np.testing.assert_allclose(norm(x).detach().numpy(), expected, atol=1e-9)


@given(maps)
def test_instancenorm(shape: tuple[int, ...]) -> None:
    x = random_map(shape)
    norm = build_norm("instancenorm", shape[1]).double()
    assert list(norm.parameters()) == []
    np.testing.assert_allclose(norm(x).numpy(), normalised(x.numpy(), (2, 3)), atol=1e-9)
    affine = build_norm({"type": "instancenorm", "affine": True}, shape[1]).double()
    randomise(affine)
    weight, bias = affine.weight.detach().numpy(), affine.bias.detach().numpy()
    expected = normalised(x.numpy(), (2, 3)) * weight[:, None, None] + bias[:, None, None]
    np.testing.assert_allclose(affine(x).detach().numpy(), expected, atol=1e-9)


@given(maps)
def test_layernorm_normalises_the_channels_of_each_pixel(shape: tuple[int, ...]) -> None:
    x = random_map(shape)
    norm = build_norm("layernorm", shape[1]).double()
    assert isinstance(norm, LayerNorm2d)
    randomise(norm)
    weight, bias = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    expected = normalised(x.numpy(), (1,)) * weight[:, None, None] + bias[:, None, None]
    out = norm(x)
    assert out.shape == x.shape
    np.testing.assert_allclose(out.detach().numpy(), expected, atol=1e-9)


def test_identity() -> None:
    x = random_map((1, 3, 4, 4))
    for norm in (False, "identity", {"type": "identity"}):
        assert torch.equal(build_norm(norm, 3)(x), x)


@pytest.mark.parametrize(
    ("norm", "kind", "attributes"),
    [
        (True, nn.BatchNorm2d, {"num_features": 6, "momentum": 0.1}),
        (False, nn.Identity, {}),
        ("batchnorm", nn.BatchNorm2d, {"eps": 1e-5}),
        ({"type": "batchnorm", "momentum": 0.01, "eps": 1e-3}, nn.BatchNorm2d, {"momentum": 0.01, "eps": 1e-3}),
        ({"type": "batchnorm", "affine": False}, nn.BatchNorm2d, {"weight": None}),
        ("instancenorm", nn.InstanceNorm2d, {"num_features": 6, "affine": False}),
        ({"type": "instancenorm", "track_running_stats": True}, nn.InstanceNorm2d, {"track_running_stats": True}),
        ("layernorm", LayerNorm2d, {"normalized_shape": (6,)}),
        ({"type": "layernorm", "eps": 1e-6}, LayerNorm2d, {"eps": 1e-6}),
    ],
    ids=str,
)
def test_what_a_norm_option_builds(norm: Any, kind: type, attributes: dict[str, Any]) -> None:
    built = build_norm(norm, 6)
    assert type(built) is kind
    for name, value in attributes.items():
        assert getattr(built, name) == value
    before = dict(norm) if isinstance(norm, dict) else norm
    build_norm(norm, 6)
    assert norm == before


_NAMES = "batchnorm, instancenorm, layernorm, identity, inplace"


@pytest.mark.parametrize(
    ("norm", "message"),
    [
        ("groupnorm", f"unknown norm 'groupnorm'; expected True, False, a dict, or one of {_NAMES}"),
        (None, f"unknown norm None; expected True, False, a dict, or one of {_NAMES}"),
        (1, f"unknown norm 1; expected True, False, a dict, or one of {_NAMES}"),
        (["batchnorm"], f"unknown norm ['batchnorm']; expected True, False, a dict, or one of {_NAMES}"),
        ({}, f"unknown norm {{}}; expected a dict whose 'type' is one of {_NAMES}"),
        ({"type": 3}, f"unknown norm {{'type': 3}}; expected a dict whose 'type' is one of {_NAMES}"),
        ({"type": "identity", "eps": 1}, "norm 'identity' takes no arguments, got eps"),
        (
            {"type": "batchnorm", "gamma": 1},
            "norm 'batchnorm' has no argument 'gamma'; it takes eps, momentum, affine, track_running_stats",
        ),
        ({"type": "batchnorm", "eps": "x"}, "norm 'batchnorm': eps must be a number between 0 and 1e+09, got 'x'"),
        ({"type": "layernorm", "device": "cuda"}, "norm 'layernorm' has no argument 'device'; it takes eps, "),
        (
            "inplace",
            "norm 'inplace' needs the package inplace_abn, which is not installed; run: pip install inplace_abn "
            "--no-build-isolation, or choose 'batchnorm'",
        ),
    ],
    ids=str,
)
def test_a_norm_that_cannot_be(norm: Any, message: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "inplace_abn", None)
    with pytest.raises(OptionError, match=f"^{re.escape(message)}"):
        build_norm(norm, 4)


def test_inplace_brings_its_own_activation(monkeypatch) -> None:
    class InPlaceABN(nn.BatchNorm2d):
        """Stands in for the real one, which has to be compiled."""

    package = ModuleType("inplace_abn")
    package.InPlaceABN = InPlaceABN  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "inplace_abn", package)
    assert isinstance(build_norm({"type": "inplace", "momentum": 0.2}, 4), InPlaceABN)
    block = ConvNormAct(3, 4, kernel_size=3, norm="inplace")
    assert isinstance(block[2], nn.Identity)
    assert block[0].bias is None
    assert norm_has_activation({"type": "inplace"})


def test_names_of_norms() -> None:
    assert [norm_name(item) for item in (True, False, "layernorm", {"type": "inplace"})] == [
        *("batchnorm", "identity", "layernorm", "inplace")
    ]


@pytest.mark.parametrize(
    "norm", ["batchnorm", "instancenorm", "layernorm", "identity", {"type": "instancenorm"}], ids=str
)
def test_a_decoder_with_every_norm_trains(norm: Any) -> None:
    model = ToyModel(ToyEncoder(depth=2), decoder_use_norm=norm)
    initialise_decoder(model.decoder)
    model(torch.rand(2, 3, 16, 16)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.decoder.parameters())


def test_a_convolution_has_a_bias_only_where_nothing_is_normalised() -> None:
    assert ConvNormAct(3, 4, kernel_size=3).state_dict().keys() >= {"0.weight", "1.weight", "1.running_mean"}
    assert ConvNormAct(3, 4, kernel_size=3)[0].bias is None
    block = ConvNormAct(3, 4, kernel_size=3, padding=1, stride=2, norm=False)
    assert list(block.state_dict()) == ["0.weight", "0.bias"]
    x = torch.rand(1, 3, 8, 8)
    expected = torch.relu(nn.functional.conv2d(x, block[0].weight, block[0].bias, stride=2, padding=1))
    torch.testing.assert_close(block(x), expected)


# --- activations


def _softmax(x: np.ndarray) -> np.ndarray:
    exponentials = np.exp(x - x.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


_ACTIVATIONS = {
    None: lambda x: x,
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softmax": _softmax,
    "softmax2d": _softmax,
    "logsoftmax": lambda x: np.log(_softmax(x)),
    "tanh": np.tanh,
    "argmax": lambda x: x.argmax(axis=1),
    "argmax2d": lambda x: x.argmax(axis=1),
    "clamp": lambda x: np.minimum(np.maximum(x, 0), 1),
}


@pytest.mark.parametrize("name", _ACTIVATIONS, ids=str)
@pytest.mark.parametrize("shape", [(2, 4, 3, 5), (2, 4)])
def test_every_activation(name: str | None, shape: tuple[int, ...]) -> None:
    x = random_map(shape)
    out = build_activation(name)(x).numpy()
    expected = _ACTIVATIONS[name](x.numpy())
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, atol=1e-12)


def test_activations_that_are_no_names() -> None:
    x = random_map((1, 3, 4, 4))
    module = nn.ReLU6()
    assert build_activation(module) is module
    assert isinstance(build_activation(nn.Sigmoid), nn.Sigmoid)
    for function in (torch.tanh, lambda tensor: tensor * 2, nn.functional.silu):
        built = build_activation(function)
        assert isinstance(built, nn.Module)
        assert torch.equal(built(x), function(x))


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        (
            "relu",
            "unknown activation 'relu'; expected None, a callable, or one of identity, sigmoid, softmax, softmax2d, "
            "logsoftmax, tanh, argmax, argmax2d, clamp",
        ),
        (3, "expected a str, a callable or None as activation, got int: 3"),
        (dict, "activation class dict does not build an nn.Module, but {}"),
    ],
)
def test_an_activation_that_cannot_be(activation: Any, message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        build_activation(activation)


# --- attention


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 2, 8, 16]))
def test_scse(channels: int, height: int, width: int, reduction: int) -> None:
    module = SCSE(channels, reduction).double()
    randomise(module)
    x = random_map((2, channels, height, width))
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}

    def sigmoid(values: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-values))

    pooled = x.numpy().mean(axis=(2, 3))
    squeezed = np.maximum(pooled @ weights["cSE.1.weight"][:, :, 0, 0].T + weights["cSE.1.bias"], 0)
    channel_gate = sigmoid(squeezed @ weights["cSE.3.weight"][:, :, 0, 0].T + weights["cSE.3.bias"])[:, :, None, None]
    scores = np.einsum("nchw,oc->nohw", x.numpy(), weights["sSE.0.weight"][:, :, 0, 0])
    spatial_gate = sigmoid(scores + weights["sSE.0.bias"][:, None, None])
    expected = x.numpy() * channel_gate + x.numpy() * spatial_gate
    np.testing.assert_allclose(module(x).detach().numpy(), expected, atol=1e-9)
    assert weights["cSE.1.weight"].shape == (channels // reduction, channels, 1, 1)


def test_attention_by_name() -> None:
    x = random_map((1, 3, 4, 4))
    assert torch.equal(build_attention(None, 3)(x), x)
    assert next(iter(build_attention("scse", 32).state_dict())) == "attention.cSE.1.weight"
    with pytest.raises(OptionError, match=r"^unknown attention 'cbam'; expected None or 'scse'$"):
        build_attention("cbam", 3)


# --- initialisation


def test_initialisation_of_decoders() -> None:
    norms = [
        nn.BatchNorm2d(8),
        nn.InstanceNorm2d(8),
        nn.InstanceNorm2d(8, affine=True),
        nn.LayerNorm(8),
        nn.GroupNorm(2, 8),
    ]
    empty = SCSE(8).cSE[1]
    module = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ConvTranspose2d(8, 8, 2), nn.Linear(8, 8), *norms, empty)
    for parameter in module.parameters():
        nn.init.constant_(parameter, 7.0)
    initialise_decoder(module)
    bound = (6 / (4 * 9)) ** 0.5  # Kaiming uniform, fan in, ReLU
    weight = module[0].weight.detach()
    assert 0.8 * bound < weight.abs().max() <= bound
    assert 0.8 * (6 / 16) ** 0.5 < module[2].weight.detach().abs().max() <= (6 / 16) ** 0.5  # Xavier uniform
    for layer in (module[0], module[1], module[2], *norms):
        assert layer.bias is None or not layer.bias.any()
    assert all(layer.weight is None or torch.equal(layer.weight, torch.ones(8)) for layer in norms)


def test_initialisation_of_heads() -> None:
    module = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Linear(8, 8))
    initialise_head(module)
    bound = (6 / (4 * 9 + 8 * 9)) ** 0.5  # Xavier uniform
    assert 0.8 * bound < module[0].weight.detach().abs().max() <= bound
    assert not module[0].bias.any()
    assert not module[1].bias.any()
