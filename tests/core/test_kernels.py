"""Kernels of plugins: which layers ask for one, what it is given, and when it is left out."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import pytest
import torch
from settled import furthest
from torch import Tensor, nn

import smp_core
from smp_core import registry
from smp_core.errors import InvalidSpecError
from smp_core.layers import ConvNormAct, UnetBlock, form_for, kernels, use_form
from smp_core.layers.upsample import transposed_kernel, upsample_concat
from smp_core.plugin import FormRule
from smp_core.registry.discovery import LoadedPlugin, PluginRecord
from smp_core.registry.resolution import Registry

LAYERS = ("upsample_conv3x3", "known_upsample_conv3x3", "conv3x3")


class Standin:
    """A `smp_core.layers.kernels.StepKernel` of plain operations, that writes down what it is given."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def step(
        self,
        x: Tensor | None,
        skip: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        height: int,
        width: int,
        relu: bool,
        transposed: Tensor | None = None,
    ) -> Tensor:
        channels = [0 if item is None else item.shape[1] for item in (x, skip)]
        self.calls.append({"channels": (*channels, weight.shape[0]), "relu": relu, "known": transposed is not None})
        if transposed is not None:
            assert x is not None
            assert furthest(transposed, transposed_kernel(weight[:, : x.shape[1]])) < 1e-12
        joined = skip if x is None else upsample_concat(x, skip, height, width, None, "nearest")
        assert joined is not None
        out = nn.functional.conv2d(joined, weight, bias, padding=1)
        return out.relu() if relu else out


def rules(target: str, **changes: Any) -> list[FormRule]:
    fields = {"form": "kernel", "device": "cpu", "measured": "nowhere: a rule of this test", "target": target}
    return [FormRule(layer=layer, **{**fields, **changes}) for layer in LAYERS]


def provide(monkeypatch: pytest.MonkeyPatch, target: str, **changes: Any) -> None:
    record = PluginRecord(distribution="acme-kernels", version="1", module="acme_kernels.plugin")
    plugin = LoadedPlugin(record=record, forms={item.name: item for item in rules(target, **changes)})
    monkeypatch.setattr(registry, "_registry", Registry([*registry._registry.loaded, plugin]))


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Standin:
    """Used for every layer on the CPU, by the rules of a plugin that come before all others."""
    made, module = Standin(), ModuleType("acme_kernels")
    module.step = made.step  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acme_kernels", module)
    monkeypatch.setattr(kernels, "_kernels", {})
    provide(monkeypatch, "acme_kernels:step")
    return made


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(architecture: str, **options: Any) -> smp_core.SegmentationModel:
    torch.manual_seed(0)
    return smp_core.create(architecture, "resnet18", encoder_weights=None, **options).eval().double()


def plainly(run: Callable[[], Tensor]) -> Tensor:
    with ExitStack() as stack:
        for layer in LAYERS:
            stack.enter_context(use_form(layer, "plain"))
        return run()


# --- who asks


@pytest.mark.parametrize(
    ("architecture", "steps", "convolutions"),
    [("unet", 5, 5), ("unetplusplus", 11, 11), ("manet", 5, 9), ("upernet", 0, 3), ("linknet", 0, 0)],
)
@pytest.mark.parametrize("size", [64, 52])
def test_decoders_give_their_steps_to_a_kernel(
    standin: Standin, architecture: str, steps: int, convolutions: int, size: int
) -> None:
    model, x = built(architecture), random(1, 3, size, 64)
    expected = plainly(lambda: model(x).detach())
    assert standin.calls == []
    assert furthest(model(x).detach(), expected) < 1e-12
    upsampling = [call for call in standin.calls if call["channels"][0] > 0]
    assert len(upsampling) == steps
    assert len(standin.calls) - len(upsampling) == convolutions
    assert not any(call["relu"] or call["known"] for call in standin.calls)  # norms follow


def test_the_inference_form_has_relu_in_its_kernel(standin: Standin) -> None:
    model, x = built("unet"), random(1, 3, 64, 96)
    expected = model(x).detach()
    fast = smp_core.optimize(model)
    standin.calls.clear()
    assert furthest(fast(x), expected) < 1e-10
    assert len(standin.calls) == 10
    assert all(call["relu"] and call["known"] is (call["channels"][0] > 0) for call in standin.calls)


def test_the_inference_form_takes_kernels_for_inference(monkeypatch: pytest.MonkeyPatch, standin: Standin) -> None:
    model, x = built("unet"), random(1, 3, 64, 64)
    fast = smp_core.optimize(model)
    standin.calls.clear()
    monkeypatch.setattr(registry, "_registry", Registry([]))
    provide(monkeypatch, "acme_kernels:step", gradient=False)
    assert torch.is_grad_enabled()
    model(x)
    assert standin.calls == []
    fast(x)
    assert len(standin.calls) == 10


def test_gradients_pass_through(standin: Standin) -> None:
    model, x = built("unet").train(), random(2, 3, 64, 64)
    parameters = list(model.decoder.parameters())
    used = [item for item in parameters if item.requires_grad]

    def gradients() -> Tensor:
        found = torch.autograd.grad(model(x).square().mean(), used)
        return torch.cat([item.flatten() for item in found])

    expected = plainly(gradients)
    assert furthest(gradients(), expected) < 1e-10
    assert len(standin.calls) == 10


def test_a_compiled_model_sees_through(standin: Standin) -> None:
    block = UnetBlock(4, 2, 3, norm=False, attention_type=None, interpolation="nearest").eval().double()
    x, skip = random(1, 4, 4, 5), random(1, 2, 8, 9)
    # The stand-in writes down its calls, which only breaks of the graph would let it do.
    sys.modules["acme_kernels"].step = _odd  # type: ignore[attr-defined]
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    with torch.no_grad():
        expected = plainly(lambda: block(x, skip, 8, 9))
        assert furthest(compiled(x, skip, 8, 9), expected + 1) < 1e-12


def _odd(
    x: Tensor | None,
    skip: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    height: int,
    width: int,
    relu: bool,
    transposed: Tensor | None = None,
) -> Tensor:
    """A kernel whose results can be told from the plain form's: what is not upsampled gives 1 more."""
    joined = skip if x is None else upsample_concat(x, skip, height, width, None, "nearest")
    assert joined is not None
    assert relu
    out = nn.functional.conv2d(joined, weight, bias, padding=1).relu()
    return out + 1 if x is None else out


# --- who does not


def test_an_exported_graph_keeps_the_plain_form(standin: Standin) -> None:
    model = built("unet")
    x = random(1, 3, 64, 64)
    exported = torch.export.export(model, (x,))
    torch.jit.trace(model, x, check_trace=False)
    torch.fx.symbolic_trace(model.decoder)
    torch.jit.script(model)
    assert standin.calls == []
    assert furthest(exported.module()(x).detach(), model(x).detach()) < 1e-12


def test_what_was_replaced_hooked_or_wrapped_is_called(standin: Standin) -> None:
    block = UnetBlock(4, 2, 3, norm=True, attention_type=None, interpolation="nearest").eval().double()
    x, skip = random(1, 4, 4, 4), random(1, 2, 8, 8)
    seen: list[str] = []
    handles = [
        block.conv1[0].register_forward_hook(lambda *_: seen.append("conv1")),  # type: ignore[union-attr]
        block.conv2[0].register_forward_pre_hook(lambda *_: seen.append("conv2")),
    ]
    block(x, skip, 8, 8)
    assert seen == ["conv1", "conv2"]
    assert standin.calls == []
    for handle in handles:
        handle.remove()
    block.conv2[2].register_forward_hook(lambda *_: seen.append("relu"))
    block.conv2[1] = nn.Identity()
    block(x, skip, 8, 8)
    assert seen == ["conv1", "conv2", "relu"]
    assert [call["relu"] for call in standin.calls] == [False, False]
    standin.calls.clear()
    nn.utils.parametrizations.weight_norm(block.conv1[0])  # type: ignore[arg-type]
    block.conv2[0] = nn.Sequential(block.conv2[0])
    block(x, skip, 8, 8)
    assert standin.calls == []


@pytest.mark.parametrize(
    "changed",
    [{"stride": 2}, {"padding": 0}, {"kernel_size": 1, "padding": 0}],
    ids=str,
)
def test_other_convolutions_are_called(standin: Standin, changed: dict[str, Any]) -> None:
    block = ConvNormAct(3, 4, **{"kernel_size": 3, "padding": 1, **changed}).eval().double()
    assert block(random(1, 3, 8, 8)).shape[1] == 4
    assert standin.calls == []


def test_other_interpolations_and_sizes_are_called(standin: Standin) -> None:
    block = UnetBlock(4, 2, 3, norm=True, attention_type=None, interpolation="bilinear").eval().double()
    block(random(1, 4, 4, 4), random(1, 2, 8, 8), 8, 8)
    block.interpolation = "nearest"
    block(random(1, 4, 4, 4), random(1, 2, 11, 8), 11, 8)
    # The concatenation is stored then, and convolved as any map.
    assert [call["channels"] for call in standin.calls] == [(0, 6, 3), (0, 3, 3)] * 2


def test_a_subclass_of_tensors_means_what_it_says(standin: Standin) -> None:
    class Named(Tensor):
        pass

    block = ConvNormAct(3, 4, kernel_size=3, padding=1).eval().double()
    assert isinstance(block(random(1, 3, 8, 8).as_subclass(Named)), Named)
    assert torch.func.vmap(block)(random(2, 1, 3, 8, 8)).shape == (2, 1, 4, 8, 8)
    assert standin.calls == []


# --- rules and overrides


def test_an_override_takes_any_kernel_or_none(monkeypatch: pytest.MonkeyPatch, standin: Standin) -> None:
    block, x = ConvNormAct(3, 4, kernel_size=3, padding=1).eval().double(), random(1, 3, 8, 8)
    with use_form("conv3x3", "plain"):
        block(x)
    assert standin.calls == []
    provide(monkeypatch, "acme_kernels:step", device="cuda")
    monkeypatch.setattr(registry, "_registry", Registry(registry._registry.loaded[-1:]))
    block(x)
    assert standin.calls == []
    with use_form("conv3x3", "kernel"):
        block(x)
    assert len(standin.calls) == 1
    monkeypatch.setattr(registry, "_registry", Registry([]))
    with use_form("conv3x3", "kernel"):
        block(x)
    assert len(standin.calls) == 1


def test_channels_are_those_of_the_convolution(monkeypatch: pytest.MonkeyPatch, standin: Standin) -> None:
    monkeypatch.setattr(registry, "_registry", Registry([]))
    provide(monkeypatch, "acme_kernels:step", most_channels=6)
    x = torch.zeros(1, 4, 8, 8)
    assert [form_for("conv3x3", x, channels=number) for number in (0, 6, 7)] == ["kernel", "kernel", "plain"]

    def asked(x: Tensor) -> Tensor:
        return x + (form_for("conv3x3", x, channels=6) == "kernel") + 2 * (form_for("conv3x3", x) == "kernel")

    assert torch.compile(asked, backend="eager", fullgraph=True)(x).unique().tolist() == [1]


def test_a_kernel_that_cannot_be_imported_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    monkeypatch.setattr(registry, "_registry", Registry([]))
    provide(monkeypatch, "acme_missing.kernels:step")
    block, x = ConvNormAct(3, 4, kernel_size=3, padding=1).eval().double(), random(1, 3, 8, 8)
    message = (
        "the kernel acme_missing.kernels:step cannot be used, and the plain form runs in its place: a form of a fused "
        "layer: cannot import 'acme_missing.kernels' (target 'acme_missing.kernels:step'): No module named "
        "'acme_missing'"
    )
    with pytest.warns(RuntimeWarning, match=f"^{re.escape(message)}$"):
        first = block(x)
    assert torch.equal(block(x), first)  # warnings are errors here
    assert torch.equal(plainly(lambda: block(x)), first)


def stepless(x: Tensor) -> Tensor:
    return x


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (17, "got int"),
        (stepless, "but too many positional arguments"),
    ],
)
def test_a_kernel_that_is_no_function_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, standin: Standin, target: object, why: str
) -> None:
    sys.modules["acme_kernels"].step = target  # type: ignore[attr-defined]
    block, x = ConvNormAct(3, 4, kernel_size=3, padding=1).eval().double(), random(1, 3, 8, 8)
    message = (
        "the kernel acme_kernels:step cannot be used, and the plain form runs in its place: expected a function that "
        f"is called as smp_core.layers.kernels.StepKernel, {why}"
    )
    with pytest.warns(RuntimeWarning, match=f"^{re.escape(message)}$"):
        first = block(x)
    assert torch.equal(block(x), first)
    assert torch.equal(plainly(lambda: block(x)), first)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (ZeroDivisionError("a slip"), "it raised ZeroDivisionError: a slip"),
        (SystemExit(2), "it raised SystemExit: 2"),
        (torch.zeros(1, 3, 4, 4), "it returned one of shape (1, 3, 4, 4); expected a tensor of shape (1, 3, 8, 8)"),
        (None, "it returned NoneType; expected a tensor of shape (1, 3, 8, 8)"),
    ],
    ids=str,
)
@pytest.mark.parametrize("folded", [True, False])
def test_a_kernel_that_fails_gives_way_to_the_plain_form_for_good(
    monkeypatch: pytest.MonkeyPatch, standin: Standin, result: object, why: str, folded: bool
) -> None:
    calls: list[int] = []

    def broken(*_: object) -> object:
        calls.append(1)
        if isinstance(result, BaseException):
            raise result
        return result

    sys.modules["acme_kernels"].step = broken  # type: ignore[attr-defined]
    norm = "identity" if folded else "batchnorm"
    block = UnetBlock(4, 2, 3, norm=norm, attention_type=None, interpolation="nearest").eval().double()
    x, skip = random(1, 4, 4, 4), random(1, 2, 8, 8)
    expected = plainly(lambda: block(x, skip, 8, 8))
    message = f"the kernel acme_kernels:step cannot be used, and the plain form runs in its place: {why}"
    with pytest.warns(RuntimeWarning, match=f"^{re.escape(message)}$"):
        assert furthest(block(x, skip, 8, 8).detach(), expected.detach()) < 1e-12
    assert torch.equal(block(x, skip, 8, 8), expected)
    assert calls == [1]


def test_a_callers_error_is_the_plain_forms_and_no_failure_of_the_kernel(standin: Standin) -> None:
    block = ConvNormAct(3, 4, kernel_size=3, padding=1).eval().double()
    with pytest.raises(RuntimeError, match=r"to have 3 channels, but got 5 channels instead"):
        block(random(1, 5, 8, 8))
    block(random(1, 3, 8, 8))
    assert len(standin.calls) == 2


def test_a_kernel_has_a_target_and_other_forms_have_none() -> None:
    with pytest.raises(InvalidSpecError, match=r"field 'target': expected .*module.*, got None"):
        rules(None)  # type: ignore[arg-type]
    with pytest.raises(
        InvalidSpecError, match=r"field 'target': expected None, as the form is not 'kernel', got 'a:b'"
    ):
        rules("a:b", form="plain")
