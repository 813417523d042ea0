"""Compiled, exported, scripted, traced and in ONNX a model gives what it gives in eager mode, odd sizes included."""

import warnings

import pytest
import torch

import smp_core

SIZES = [(64, 64), (97, 33), (50, 79), (1, 1), (32, 65)]
OPTIONS = {
    "plain": {},
    "scse": {"decoder_attention_type": "scse"},
    "bilinear": {"decoder_interpolation": "bilinear"},
    "layernorm": {"decoder_use_norm": "layernorm"},
    "labels": {"aux_params": {"classes": 4, "dropout": 0.0}},
}


@pytest.fixture(params=OPTIONS, scope="module")
def model(request):
    torch.manual_seed(0)
    channels = {"encoder_depth": 3, "decoder_channels": (32, 16, 16)}
    built = smp_core.create("unet", "resnet18", encoder_weights=None, classes=3, **channels, **OPTIONS[request.param])
    return built.eval()


def image(size, batch=1):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(size[0]))


def as_tuple(output):
    return output if isinstance(output, (tuple, list)) else (output,)


def assert_equal(theirs, ours):
    for a, b in zip(as_tuple(theirs), as_tuple(ours), strict=True):
        torch.testing.assert_close(torch.as_tensor(a), b, rtol=1e-4, atol=1e-4 * b.abs().max().item())


@pytest.mark.parametrize(
    ("model", "size"),
    [("plain", (64, 64)), ("plain", (1, 1)), *((name, (97, 33)) for name in OPTIONS)],
    ids=str,
    indirect=["model"],
)
def test_compile_in_one_graph(model, size):
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=False, backend="aot_eager")
    with torch.no_grad():
        assert_equal(compiled(image(size)), model(image(size)))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["plain"], indirect=True)
def test_compile_in_one_graph_of_any_size(model):
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    with torch.no_grad():
        for size in SIZES[:2]:
            assert_equal(compiled(image(size)), model(image(size)))


def test_compiled_dynamically_even_and_odd_sizes_share_graphs():
    """One graph for each parity of each level would be dozens, and past the recompile limit an error."""
    graphs = []

    def count(module, inputs):
        graphs.append(module)
        return module.forward

    torch.compiler.reset()
    options = {"encoder_depth": 3, "decoder_channels": (16, 8, 8)}
    model = smp_core.create("unet", "resnet18", encoder_weights=None, **options).eval()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=count)
    with torch.no_grad():
        for size in [(160, 192), (161, 195), (170, 181), (175, 214), (182, 201)]:
            assert_equal(compiled(image(size)), model(image(size)))
    assert len(graphs) <= 2


@pytest.mark.slow
def test_compile_with_inductor(model):
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad():
        for size in SIZES[:2]:
            assert_equal(compiled(image(size)), model(image(size)))


def test_training_step_compiles():
    torch.compiler.reset()
    torch.manual_seed(0)
    model = smp_core.create("unet", "resnet18", encoder_weights=None, encoder_depth=3, decoder_channels=(32, 16, 8))
    # In float32 a ReLU on the other side of zero changes a gradient by a thousandth.
    model.double()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = image((49, 64), batch=2).double()
    compiled(x).square().mean().backward()
    ours = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    model(x).square().mean().backward()
    for name, parameter in model.named_parameters():
        scale = parameter.grad.abs().max().item()
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-8, atol=1e-8 * scale + 1e-12, msg=name)


def dynamic_shapes():
    """From 9 pixels: a map of a single pixel, as smaller images have at depth 3, is a case of its own to torch."""
    dim = torch.export.Dim
    return ({0: dim("batch", max=64), 2: dim("height", min=9, max=4096), 3: dim("width", min=9, max=4096)},)


def test_export_with_dynamic_batch_height_and_width(model):
    exported = torch.export.export(model, (image((64, 96), batch=2),), dynamic_shapes=dynamic_shapes())
    module = exported.module()
    with torch.no_grad():
        for batch, size in enumerate([(64, 64), (97, 33), (50, 79), (32, 65)], start=1):
            assert_equal(module(image(size, batch)), model(image(size, batch)))


def test_script(model):
    scripted = torch.jit.script(model)
    with torch.no_grad():
        for size in SIZES:
            assert_equal(scripted(image(size)), model(image(size)))


def test_trace_holds_for_other_sizes(model):
    traced = torch.jit.trace(model, image((64, 64)))
    with torch.no_grad():
        for size in SIZES:
            assert_equal(traced(image(size)), model(image(size)))


@pytest.mark.parametrize(
    "model",
    [pytest.param(name, marks=[pytest.mark.slow] if name in ("bilinear", "layernorm") else []) for name in OPTIONS],
    indirect=True,
)
def test_onnx_in_onnxruntime(model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
        torch.onnx.export(
            model, (image((64, 96), batch=2),), path, dynamo=True, dynamic_shapes=dynamic_shapes(), verbose=False
        )
    session = onnxruntime.InferenceSession(path)
    with torch.no_grad():
        for batch, size in enumerate([(64, 64), (97, 33), (50, 79)], start=1):
            x = image(size, batch)
            assert_equal(session.run(None, {session.get_inputs()[0].name: x.numpy()}), model(x))
