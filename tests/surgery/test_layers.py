"""What people do to single layers of a model, on every architecture that it concerns."""

from __future__ import annotations

import copy
import functools
import types
import warnings
from collections.abc import Callable

import pytest
import torch
from operations import ARCHITECTURES, build, called, image, pruned, train, watched
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

import smp_core
from smp_core.layers import ChannelGate, Fusing, PooledBatchNorm2d, PooledInstanceNorm2d
from smp_testing.expectations import expect_close

ATTENTION = ("unet", "unetplusplus")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_fast_forms_give_what_the_parts_give(architecture: str) -> None:
    model = build(architecture)
    with torch.no_grad():
        torch.testing.assert_close(model(image()), called(model, image()), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("changed", [{"padding_mode": "replicate"}, {"dilation": (2, 2), "padding": (2, 2)}], ids=str)
def test_changed_attributes_of_every_convolution(architecture: str, changed: dict[str, object]) -> None:
    model = build(architecture)
    before = called(model, image())
    layers = [layer for layer in _convolutions(model.decoder) if (layer.padding, layer.dilation) == ((1, 1), (1, 1))]
    for layer in layers:
        vars(layer).update(changed)
    with torch.no_grad():
        found = model(image())
    torch.testing.assert_close(found, called(model, image()), atol=1e-4, rtol=1e-4)
    assert bool(layers) is not torch.allclose(found, before, atol=1e-4)


FUSING = {"unet", "unetplusplus", "manet", "fpn", "pspnet", "deeplabv3", "deeplabv3plus", "segformer"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_as_built_has_its_fast_forms(architecture: str) -> None:
    fusing = {name: part for name, part in build(architecture).named_modules() if isinstance(part, Fusing)}
    assert bool(fusing) is (architecture in FUSING)
    assert not [name for name, part in fusing.items() if not part.has_stock_parts()]


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize(
    ("architecture", "encoder", "options"),
    [
        *((name, "resnet18", {}) for name in ARCHITECTURES),
        *((name, "resnet18", {"decoder_attention_type": "scse"}) for name in ATTENTION),
        ("unet", "mobileone_s0", {}),
        ("unet", "densenet121", {}),
        ("segformer", "mit_b0", {}),
    ],
)
def test_pruned_layers_train(architecture: str, encoder: str, options: dict[str, object]) -> None:
    model = build(architecture, encoder, **options)
    train(pruned(model), image())
    with torch.no_grad():
        torch.testing.assert_close(model(image()), called(model, image()), atol=1e-4, rtol=1e-4)


class LoRA(nn.Module):
    """A linear layer whose weight stays, and a low-rank one that learns (Hu et al., arXiv:2106.09685)."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down, self.up = nn.Linear(base.in_features, 2, bias=False), nn.Linear(2, base.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x) + self.up(self.down(x))
        return out


def test_adapters_of_linear_layers_learn() -> None:
    model = build("segformer", "mit_b0").requires_grad_(False)
    before = called(model, image())
    adapters = []
    for level in model.decoder.mlp_stage:
        level.linear = LoRA(level.linear)
        adapters.append(level.linear)
    torch.testing.assert_close(called(model, image()), before)
    model(image()).square().mean().backward()
    assert all(adapter.up.weight.grad.abs().max() > 0 for adapter in adapters)
    train(model, image())
    assert not torch.allclose(called(model, image()), before)


def test_dynamic_quantisation_of_linear_layers() -> None:
    model = build("segformer", "mit_b0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces its successor
        quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    with torch.no_grad():
        expected, found = model(image()), quantised(image())
    assert (found - expected).norm() < 0.05 * expected.norm()


def _whole(model: smp_core.SegmentationModel, make: Callable[[nn.Module], nn.Module]) -> None:
    model.decoder.blocks[1].conv1 = make(model.decoder.blocks[1].conv1)


def _convolution(model: smp_core.SegmentationModel, make: Callable[[nn.Module], nn.Module]) -> None:
    model.decoder.blocks[1].conv1[0] = make(model.decoder.blocks[1].conv1[0])


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x)
        return out


@pytest.mark.parametrize("put", [_whole, _convolution], ids=["block", "convolution"])
def test_a_decoder_convolution_wrapped(put: Callable[..., None]) -> None:
    model = build("unet")
    before = called(model, image())
    put(model, Wrapped)
    with torch.no_grad():
        torch.testing.assert_close(model(image()), before, atol=1e-4, rtol=1e-4)
    train(model, image())


@pytest.mark.parametrize("put", [_whole, _convolution], ids=["block", "convolution"])
def test_a_decoder_convolution_replaced_by_a_plain_one(put: Callable[..., None]) -> None:
    model = build("unet")
    channels = model.decoder.blocks[1].conv1[0].in_channels
    new = nn.Conv2d(channels, model.decoder.blocks[1].conv1[0].out_channels, 3, padding=1)  # with a bias
    put(model, lambda _: new)
    seen: list[Tensor] = []
    new.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        model(image())
        assert [item.shape for item in seen] == [(2, channels, 8, 12)]
        new._forward_hooks.clear()
        torch.testing.assert_close(model(image()), called(model, image()), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("architecture", "name"), [("fpn", "decoder.p2.skip_conv"), ("fpn", "decoder.p2")])
def test_parts_of_a_merged_form_replaced(architecture: str, name: str) -> None:
    model = build(architecture)
    parent, _, own = name.rpartition(".")
    part = copy.deepcopy(model.get_submodule(name))
    if isinstance(part, nn.Conv2d):
        part = nn.Conv2d(part.in_channels, part.out_channels, 1, bias=False)
    else:
        part.skip_conv = None
    setattr(model.get_submodule(parent), own, part)
    with torch.no_grad():
        torch.testing.assert_close(model(image()), called(model, image()), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("fpn", "decoder.seg_blocks.3.block.0.block.0"),
        ("segformer", "decoder.fuse_stage.0"),
        ("pspnet", "decoder.conv.0"),
        ("upernet", "decoder.fusion_block.0"),
        ("deeplabv3", "decoder.aspp.project.0"),
        ("manet", "decoder.blocks.1.conv1.0"),
    ],
)
def test_a_fused_convolution_given_a_bias(architecture: str, name: str) -> None:
    model = build(architecture)
    found = [key for key, part in model.named_modules() if isinstance(part, nn.Conv2d) and key.endswith(name[8:])]
    assert found, [key for key, _ in model.named_modules()]
    conv = model.get_submodule(found[0])
    conv.bias = nn.Parameter(torch.linspace(-1, 1, conv.out_channels))
    with torch.no_grad():
        torch.testing.assert_close(model(image()), called(model, image()), atol=1e-4, rtol=1e-4)


def test_a_parametrisation_moves_once_a_step() -> None:
    model = build("unet")
    reference = copy.deepcopy(model)
    for one in (model, reference):
        torch.manual_seed(0)
        for layer in _convolutions(one.decoder):
            parametrizations.spectral_norm(layer)
    x = image()
    for _ in range(2):
        result = model.train()(x)
        with watched(reference):
            expected = reference.train()(x)
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_hooks_on_every_convolution(architecture: str) -> None:
    model = build(architecture)
    names = [name for name, part in model.named_modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    ran: list[str] = []
    for name in names:
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: ran.append(name))
    model(image())
    assert sorted(ran) == sorted(names)


def test_hooks_on_every_module_there_is() -> None:
    model = build("unet")
    ran: list[nn.Module] = []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: ran.append(module))
    try:
        model(image())
    finally:
        handle.remove()
    assert {*_convolutions(model)} <= {*ran}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("tracking", [True, False])
@pytest.mark.parametrize("kind", [PooledBatchNorm2d, PooledInstanceNorm2d])
def test_fx_of_norms_that_ask_for_the_size(kind: type[nn.Module], tracking: bool, training: bool) -> None:
    for momentum in (0.1, None):
        norm = kind(4, momentum=momentum, affine=True, track_running_stats=tracking).train(training)
        traced = torch.fx.symbolic_trace(nn.Sequential(copy.deepcopy(norm)))
        for size in ((2, 3), (1, 1)):
            if size == (1, 1) and not tracking and kind is PooledBatchNorm2d:
                continue  # nothing to normalise with
            x = torch.rand(1, 4, *size, generator=torch.Generator().manual_seed(0))
            torch.testing.assert_close(traced(x), norm(x))
        for name, found in traced.state_dict().items():  # without those that this mode does not use
            torch.testing.assert_close(found, norm.state_dict()[name.removeprefix("0.")])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_another_padding_by_an_exchanged_method(architecture: str) -> None:
    def circular(self: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows, columns = self.padding
        x = nn.functional.pad(x, [columns, columns, rows, rows], mode="circular") if rows or columns else x
        return nn.functional.conv2d(x, weight, bias, self.stride, 0, 1, self.groups)

    model = build(architecture)
    for layer in (item for item in _convolutions(model.decoder) if item.dilation == (1, 1)):
        layer._conv_forward = types.MethodType(circular, layer)
    with torch.no_grad():
        expect_close([model(image())], [called(model, image())], f"{architecture} with circular padding")


def test_an_exchanged_method_of_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ran, plain = build("unet"), [], nn.Conv2d.forward

    def forward(self: nn.Conv2d, x: Tensor) -> Tensor:
        ran.append(self)
        return plain(self, x)

    monkeypatch.setattr(nn.Conv2d, "forward", forward)
    with torch.no_grad():
        model(image())
    assert {id(layer) for layer in ran} == {id(layer) for layer in _convolutions(model)}


@pytest.mark.parametrize("architecture", ["unet", "manet"])
def test_a_script_with_wrapped_layers_of_a_gate(architecture: str) -> None:
    model = build(architecture, **({"decoder_attention_type": "scse"} if architecture == "unet" else {}))
    gates = [part for part in model.modules() if isinstance(part, ChannelGate) and not part.is_constant]
    assert gates
    for gate in gates:
        gate[3] = nn.Sequential(gate[3])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces its successor
        expect_close([torch.jit.script(model)(image())], [model(image())], "a script with wrapped layers")


def test_recomputed_blocks_of_unetplusplus() -> None:
    model = build("unetplusplus").double().train()
    other = copy.deepcopy(model)
    for block in other.decoder.blocks.values():
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    for item in (model, other):
        item(image().double()).square().mean().backward()
    for (name, parameter), found in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found.grad, parameter.grad, msg=name)
