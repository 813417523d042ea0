"""Every installed architecture traced, in ONNX, and compiled for a training step: the results of eager mode.

Compiling in one graph, exporting and scripting are checked by each architecture's own conformance test. Where a graph
is dynamic, no level of the encoder is a single row or column: that is a case of its own to torch.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator

import pytest
import torch
from fake_encoders import FakePyramid, FakeTransformer
from torch import Tensor, nn

import smp_core
from smp_core.plugin import ArchitectureSpec

ARCHITECTURES: list[ArchitectureSpec] = [
    smp_core.describe(name).spec for name in smp_core.list_architectures() if name != "unet"
]
# Each over a pyramid or a transformer, or both.
CASES: list[tuple[ArchitectureSpec, bool]] = [
    (spec, over_tokens)
    for spec, over_tokens in itertools.product(ARCHITECTURES, (False, True))
    if (spec.tokens or spec.accepts_tokens if over_tokens else not spec.tokens)
]
SMALLEST = 64


def build(case: tuple[ArchitectureSpec, bool]) -> nn.Module:
    spec, over_tokens = case
    torch.manual_seed(0)
    if over_tokens:
        encoder: nn.Module = FakeTransformer(depth=spec.default_depth)
    else:
        stride = spec.dilation[0] if spec.dilation else 32
        encoder = FakePyramid((1, 2, 4, 8, 16, 32), depth=spec.default_depth, output_stride=stride)
    return smp_core.create(spec.name, encoder, classes=3).eval()


def title(case: tuple[ArchitectureSpec, bool]) -> str:
    return case[0].name + ("-tokens" if case[1] else "")


@pytest.fixture(params=CASES, ids=title, scope="module")
def case(request: pytest.FixtureRequest) -> tuple[ArchitectureSpec, bool]:
    return request.param


OTHERS = [(1, SMALLEST + 33, SMALLEST + 1), (3, SMALLEST + 64, SMALLEST + 6), (2, SMALLEST, SMALLEST + 32)]


@pytest.fixture(scope="module")
def model(case: tuple[ArchitectureSpec, bool]) -> nn.Module:
    return build(case)


def image(batch: int, height: int, width: int) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(height))


def expect_same(form: object, model: nn.Module, shapes: list[tuple[int, int, int]]) -> None:
    with torch.no_grad():
        for shape in shapes:
            x = image(*shape)
            ours, theirs = model(x), form(x)
            for a, b in zip(as_tuple(theirs), as_tuple(ours), strict=True):
                torch.testing.assert_close(torch.as_tensor(a), b, rtol=1e-4, atol=1e-4 * b.abs().max().item())


def as_tuple(output: object) -> tuple[Tensor, ...]:
    return tuple(output) if isinstance(output, (tuple, list)) else (output,)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporters warn of their own deprecations
        yield


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch.compiler.reset()


@pytest.mark.slow
def test_compile_with_inductor(case, model):
    with quietly():
        expect_same(torch.compile(model, fullgraph=True), model, OTHERS[:2])


@pytest.mark.slow
def test_training_step_compiles(case):
    model = build(case).train()
    for layer in model.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.p = 0.0
    x = image(2, 65, 64)
    gradients = []
    for form in (torch.compile(model, fullgraph=True, backend="aot_eager"), model):
        model.zero_grad()
        form(x).square().mean().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    # Of a bias before a norm the gradient is zero, and what is computed is rounding.
    noise = 1e-5 * max(gradient.abs().max().item() for gradient in gradients[1].values())
    for name, ours in gradients[1].items():
        atol = 1e-3 * ours.abs().max().item() + noise
        torch.testing.assert_close(gradients[0][name], ours, rtol=1e-3, atol=atol, msg=name)


def test_trace_holds_for_other_sizes(case, model):
    with quietly():
        traced = torch.jit.trace(model, image(2, SMALLEST, SMALLEST + 32))
    expect_same(traced, model, OTHERS)


# Two whose graphs are unlike Unet's; the sweeps have all.
UNLIKE = ("pan", "segformer")


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case[0].name in UNLIKE else [pytest.mark.slow], id=title(case)) for case in CASES],
    indirect=True,
)
def test_onnx_in_onnxruntime(case, model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path / "model.onnx"
    dim = torch.export.Dim
    sizes = ({0: dim("batch", max=64), 2: dim("height", min=SMALLEST), 3: dim("width", min=SMALLEST)},)
    with quietly():
        x = image(2, SMALLEST, SMALLEST + 32)
        torch.onnx.export(model, (x,), path, dynamo=True, dynamic_shapes=sizes, verbose=False)
    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    expect_same(lambda x: session.run(None, {name: x.numpy()}), model, OTHERS)
