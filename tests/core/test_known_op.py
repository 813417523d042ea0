"""The convolutions of inference forms in compiled graphs, where they are one operator."""

from __future__ import annotations

import copy
import shutil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smp_core
from smp_core.layers import use_form
from smp_core.layers.known_conv import KnownConv2d, with_kernels
from smp_core.layers.known_op import known_conv2d
from smp_core.layers.products import HeldKernel, pack
from smp_core.layers.upsample import UpsampleConcatBlock


def image(*shape: int) -> Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last)


def conv(channels: int = 128, out: int = 128, dilation: int = 1, **more: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    made = nn.Conv2d(channels, out, 3, padding=dilation, dilation=dilation, **more).eval().requires_grad_(False)
    return made.to(memory_format=torch.channels_last)


def prepared(module: nn.Module) -> KnownConv2d:
    made = with_kernels(nn.Sequential(copy.deepcopy(module)))[0]  # type: ignore[index]
    assert isinstance(made, KnownConv2d)
    return made


class Graphs:
    """A backend that keeps what it is given, and runs it as it is."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []

    def __call__(self, graph: torch.fx.GraphModule, _: object) -> Any:
        self.graphs.append(graph)
        return graph

    def operators(self) -> list[int]:
        """How many there are in each graph."""
        return [sum(node.target is known_conv2d for node in graph.graph.nodes) for graph in self.graphs]


def compiled(module: nn.Module, **options: Any) -> tuple[Any, Graphs]:
    torch._dynamo.reset()
    graphs = Graphs()
    return torch.compile(module, backend=graphs, fullgraph=True, **options), graphs


CASES = [
    (conv(), (24, 25)),
    (conv(dilation=2), (24, 25)),
    (conv(384, 384, bias=False), (12, 13)),
    (conv(16, 1), (48, 50)),
    (conv(groups=128, dilation=8), (24, 25)),
]


@pytest.mark.parametrize(("plain", "size"), CASES)
@torch.no_grad()
def test_a_compiled_convolution_is_one_operator_and_its_form(plain: nn.Conv2d, size: tuple[int, int]) -> None:
    made, x = prepared(plain), image(2, plain.in_channels, *size)
    run, graphs = compiled(made)
    found = run(x)
    assert torch.equal(found, made(x))
    assert found.stride() == made(x).stride()
    assert graphs.operators() == [1]


@pytest.mark.parametrize(("plain", "size"), CASES)
def test_torch_finds_nothing_wrong_with_the_operator(plain: nn.Conv2d, size: tuple[int, int]) -> None:
    made = prepared(plain)
    assert made._kernel_of is not None
    layer = {1: "known_conv3x3"}.get(made.dilation[0], "known_dilated_conv3x3")
    layer = "known_depthwise_conv3x3" if made.groups > 1 else layer
    for height, width in (size, (5, 3)):  # its form, and the convolution
        x = image(2, plain.in_channels, height, width)
        kernel = made._kernel.as_computed() if isinstance(made._kernel, HeldKernel) else made._kernel
        rest = (made._kernel_of.sample, layer, made._form, made.dilation[0], 0, 0)
        torch.library.opcheck(known_conv2d, (x, made.weight, made.bias, kernel, *rest))


def packed_for(graph: torch.fx.GraphModule) -> list[int]:
    """Of each operator in a graph the rows that it says its kernel is packed for."""
    return [node.args[-2] for node in graph.graph.nodes if node.target is known_conv2d]


class Twice(nn.Module):
    """A convolution of two sizes."""

    def __init__(self, made: KnownConv2d) -> None:
        super().__init__()
        self.made = made

    def forward(self, x: Tensor) -> Tensor:
        small: Tensor = self.made(x[:, :, :24, :24].contiguous(memory_format=torch.channels_last))
        large: Tensor = self.made(x)
        return large[:, :, :24, :24] + small


@torch.no_grad()
def test_graphs_of_one_size_have_kernels_packed_for_it() -> None:
    made, x = prepared(conv(256, 256)), image(1, 256, 48, 50)
    twice = Twice(made)
    expected = twice(x)
    run, graphs = compiled(twice)
    torch.testing.assert_close(run(x), expected, rtol=1e-4, atol=1e-5)
    assert packed_for(graphs.graphs[0]) == [36, 0]  # the first size alone
    torch.testing.assert_close(twice(x), expected, rtol=1e-4, atol=1e-5)
    run, graphs = compiled(twice, dynamic=True)
    torch.testing.assert_close(run(x), expected, rtol=1e-4, atol=1e-5)
    assert packed_for(graphs.graphs[0])[1:] == [0]


@pytest.mark.parametrize(("channels", "size"), [(256, (48, 50)), (384, (12, 13))])
@torch.no_grad()
def test_the_operator_takes_kernels_that_are_packed_for_another_size(channels: int, size: tuple[int, int]) -> None:
    made, x = prepared(conv(channels, channels)), image(2, channels, *size)
    assert isinstance(made._kernel, HeldKernel)
    assert made._kernel_of is not None
    rest = (made._kernel_of.sample, "known_conv3x3", made._form, 1)
    plain = conv(channels, channels)(x)
    for rows, threads in ((0, 0), (7, torch.get_num_threads()), (7, 64)):
        kernel = made._kernel.as_computed()
        kernel = pack(kernel, rows) if rows else kernel
        found = known_conv2d(x, made.weight, made.bias, kernel, *rest, rows, threads)
        torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)
        assert torch.equal(found, plain) is (rows > 0)  # the convolution, where the kernel is another one's


@torch.no_grad()
def test_a_compiled_convolution_sees_another_weight() -> None:
    plain, x = conv(), image(1, 128, 24, 24)
    made = prepared(plain)
    run, _ = compiled(made)
    run(x)
    for module in (made, plain):
        module.weight.data.mul_(2)
    torch.testing.assert_close(run(x), plain(x))


@torch.no_grad()
def test_one_graph_serves_all_sizes_and_each_takes_its_form() -> None:
    made = prepared(conv())
    run, graphs = compiled(made, dynamic=True)
    for height, width in ((24, 28), (25, 30), (5, 7), (13, 14)):
        x = image(2, 128, height, width)
        assert torch.equal(run(x), made(x))
    assert graphs.operators() == [1]


@pytest.mark.parametrize("size", [(13, 13), (9, 11)])
@torch.no_grad()
def test_where_the_form_would_not_pay_the_compiler_has_the_convolution(size: tuple[int, int]) -> None:
    made = prepared(conv())
    run, graphs = compiled(made)
    assert torch.equal(run(image(1, 128, *size)), made(image(1, 128, *size)))
    assert graphs.operators() == [0]


def test_with_gradients_the_compiler_has_the_convolution() -> None:
    made = prepared(conv())
    run, graphs = compiled(made)
    torch.testing.assert_close(run(image(1, 128, 24, 24)), conv()(image(1, 128, 24, 24)))
    assert graphs.operators() == [0]


@torch.no_grad()
def test_the_plain_form_can_be_asked_for_when_it_runs() -> None:
    made, x = prepared(conv()), image(1, 128, 24, 24)
    run, _ = compiled(made)
    with use_form("known_conv3x3", "plain"):
        assert torch.equal(run(x), conv()(x))


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles C++")
@pytest.mark.parametrize("freezing", [False, True])
@torch.no_grad()
def test_inductor_calls_it(freezing: bool) -> None:
    plain, x = nn.Sequential(conv(), nn.ReLU(), conv(128, 2)), image(1, 128, 48, 50)
    torch._dynamo.reset()
    run = torch.compile(with_kernels(copy.deepcopy(plain)), fullgraph=True)
    with torch._inductor.config.patch(freezing=freezing):
        torch.testing.assert_close(run(x), plain(x), rtol=1e-4, atol=1e-5)


def test_an_optimized_model_compiles_with_its_forms() -> None:
    torch.manual_seed(0)
    model = smp_core.create("unet", "resnet18", encoder_weights=None, decoder_channels=(64, 16), encoder_depth=2)
    fast, x = smp_core.optimize(model.eval()), image(1, 3, 224, 224)
    assert any(isinstance(part, KnownConv2d) for part in fast.modules())
    torch._dynamo.reset()
    run = torch.compile(fast, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(run(x), model(x), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_export_keeps_the_convolution() -> None:
    made, x = prepared(conv()), image(1, 128, 24, 24)
    exported = torch.export.export(made, (x,))
    assert not any("known_conv2d" in str(node.target) for node in exported.graph.nodes)
    torch.testing.assert_close(exported.module()(x), made(x), rtol=1e-4, atol=1e-5)


def test_a_graph_for_one_size_corrects_no_border_that_is_even() -> None:
    block = smp_core.create("unet", "resnet18", encoder_weights=None).decoder.blocks[1].eval()
    assert isinstance(block, UpsampleConcatBlock)
    x, skip = torch.randn(1, 256, 8, 8), torch.randn(1, 128, 16, 16)
    lengths = []
    with torch.no_grad():
        for dynamic in (False, True):
            run, graphs = compiled(block, dynamic=dynamic)
            torch.testing.assert_close(run(x, skip, 16, 16), block(x, skip, 16, 16), rtol=1e-4, atol=1e-4)
            lengths.append(sum("conv2d" in str(node.target) for node in graphs.graphs[0].graph.nodes))
    assert lengths[0] == lengths[1] - 2
