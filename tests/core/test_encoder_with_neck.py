"""An encoder and its neck at any size, also where the encoder drops what is no whole patch; compiled, exported, ..."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from fake_encoders import FakePyramid, FakeTransformer
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from toy_models import ToyNeck, architecture_spec, neck_spec

import smp_core
from smp_core.encoder import EncoderWithNeck, check_encoder
from smp_core.layers.cutting import cut


class FloorPyramid(nn.Module):
    """Each level is a convolution without padding whose kernel is its stride: what is no whole cell is dropped."""

    def __init__(self, reductions: Sequence[int]) -> None:
        super().__init__()
        self.reductions: tuple[int, ...] = tuple(reductions)
        self.out_channels: tuple[int, ...] = tuple(range(4, 4 + len(reductions)))
        self.stages = nn.ModuleList()
        before, channels = 1, 3
        for reduction, width in zip(self.reductions, self.out_channels, strict=True):
            step = reduction // before
            self.stages.append(nn.Conv2d(channels, width, step, step))
            before, channels = reduction, width

    def forward(self, x: Tensor) -> list[Tensor]:
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def over(encoder: nn.Module, levels: Sequence[int] = (4, 8, 16)) -> EncoderWithNeck:
    tokens = bool(getattr(encoder, "tokens", False))
    neck = ToyNeck(out_channels=encoder.out_channels, reductions=encoder.reductions, tokens=tokens, levels=levels)
    return EncoderWithNeck(encoder, neck).eval()


ENCODERS = {
    "patches of 16": lambda: FakeTransformer(16, depth=2),
    "patches of 14": lambda: FakeTransformer(14, depth=1),
    "7, 14, 28": lambda: FloorPyramid((7, 14, 28)),
    "4, 12": lambda: FloorPyramid((4, 12)),
    "rounding up": lambda: FakePyramid((1, 2, 4, 8), depth=3),
}


@pytest.fixture(params=ENCODERS, scope="module")
def encoder(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return ENCODERS[request.param]().eval()


def image(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height))


SIZES = [(64, 64), (1, 1), (13, 15), (29, 83), (97, 33), (56, 112), (28, 27)]


# --- sizes


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_level_has_the_size_that_its_reduction_says(encoder: nn.Module, size: tuple[int, int]) -> None:
    whole = over(encoder)
    check_encoder(whole)
    with torch.no_grad():
        found = whole(image(*size))
    assert [tuple(level.shape) for level in found] == [
        (1, channels, -(-size[0] // reduction), -(-size[1] // reduction))
        for channels, reduction in zip(whole.out_channels, whole.reductions, strict=True)
    ]


@given(
    st.sampled_from([(14,), (16,), (7, 14, 28), (4, 12), (3,)]),
    st.sets(st.sampled_from([1, 2, 4, 8, 16, 32, 64]), min_size=1),
    st.integers(1, 70),
    st.integers(1, 70),
)
def test_at_any_size(reductions: tuple[int, ...], levels: set[int], height: int, width: int) -> None:
    whole = over(FloorPyramid(reductions), sorted(levels))
    with torch.no_grad():
        found = whole(image(height, width))
    assert [level.shape[2:] for level in found] == [
        (-(-height // reduction), -(-width // reduction)) for reduction in whole.reductions
    ]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_encoder_sees_whole_cells_and_all_of_the_image(encoder: nn.Module, size: tuple[int, int]) -> None:
    """Written down a second time, in NumPy: zeros right and bottom; of each level the upper left part."""
    whole = over(encoder)
    step = max(encoder.reductions)
    padded = np.zeros((1, 3, -(-size[0] // step) * step, -(-size[1] // step) * step), np.float32)
    padded[:, :, : size[0], : size[1]] = image(*size).numpy()
    with torch.no_grad():
        output = encoder(torch.from_numpy(padded))
        expected = whole.neck(output[0] if getattr(encoder, "tokens", False) else output)
        found = whole(image(*size))
    for level, reduction, other in zip(found, whole.reductions, expected, strict=True):
        rows, columns = -(-size[0] // reduction), -(-size[1] // reduction)
        np.testing.assert_array_equal(level.numpy(), other.numpy()[:, :, :rows, :columns])


def test_the_last_pixels_count() -> None:
    """A row and a column beyond the last whole patch, which the encoder alone would drop."""
    torch.manual_seed(0)
    alone = FakeTransformer(14, depth=1).eval()
    whole = over(alone, (4, 8))
    x = image(29, 43)
    other = x.clone()
    other[:, :, 28:, 42:] += 1
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(alone(x)[0], alone(other)[0], strict=True))
        assert not any(torch.equal(a, b) for a, b in zip(whole(x), whole(other), strict=True))


def test_whole_patches_are_left_alone() -> None:
    torch.manual_seed(0)
    encoder = FakeTransformer(14, depth=2).eval()
    seen: list[Tensor] = []
    encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x = image(28, 42)
    with torch.no_grad():
        over(encoder)(x)
    assert torch.equal(seen[0], x)


def test_a_memory_layout_passes_through() -> None:
    encoder = FloorPyramid((7, 14))
    seen: list[Tensor] = []
    encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    over(encoder)(image(15, 20).to(memory_format=torch.channels_last))
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_gradients_reach_the_last_pixel() -> None:
    x = image(27, 27).requires_grad_()
    sum(level.sum() for level in over(FloorPyramid((7, 14)))(x)).backward()
    assert x.grad is not None
    assert (x.grad[:, :, -1, -1] != 0).all()


# --- a model


@pytest.mark.parametrize("patch", [14, 16])
@pytest.mark.parametrize("size", [(64, 64), (29, 43), (1, 17)], ids=str)
def test_a_model_over_a_chosen_neck(install, patch: int, size: tuple[int, int]) -> None:
    install(architecture_spec(), neck_spec(default=True))
    options = {"classes": 2, "aux_params": {"classes": 5}, "size_multiple": 4}
    model = smp_core.create("toy", FakeTransformer(patch), **options).eval()
    assert isinstance(model.encoder, EncoderWithNeck)
    masks, labels = model(image(*size))
    assert (masks.shape, labels.shape) == ((1, 2, *size), (1, 5))
    assert torch.isfinite(masks).all()


# --- other ways to run


def same(theirs: Sequence[Tensor], ours: Sequence[Tensor]) -> None:
    for a, b in zip(theirs, ours, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


# Neither square, which torch takes for a case of its own, nor so large that it takes other convolutions.
OTHER_SIZES = [(64, 72), (97, 33), (57, 90), (45, 86)]


def test_compiled_even_and_odd_sizes_share_a_graph(encoder: nn.Module) -> None:
    torch.compiler.reset()
    graphs = []

    def count(module: torch.fx.GraphModule, inputs: list[Tensor]) -> nn.Module:
        graphs.append(module)
        return module  # as it is: what is compiled is asked elsewhere

    whole = over(encoder)
    compiled = torch.compile(whole, fullgraph=True, dynamic=True, backend=count)
    with torch.no_grad():
        for size in OTHER_SIZES:
            same(compiled(image(*size)), whole(image(*size)))
    assert len(graphs) == 1


def test_a_training_step_compiles() -> None:
    torch.compiler.reset()
    torch.manual_seed(0)
    whole = over(FloorPyramid((7, 14, 28))).double()
    compiled = torch.compile(whole, fullgraph=True, backend="aot_eager")
    gradients = []
    for form in (compiled, whole):
        whole.zero_grad()
        sum(level.square().mean() for level in form(image(29, 43).double())).backward()
        gradients.append([parameter.grad.clone() for parameter in whole.parameters()])
    for theirs, ours in zip(*gradients, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-10, atol=1e-12)


def dynamic_shapes() -> tuple[dict[int, object]]:
    """From 33 pixels: a map of a single pixel is a case of its own to torch."""
    dim = torch.export.Dim
    return ({0: dim("batch", max=64), 2: dim("height", min=33, max=4096), 3: dim("width", min=33, max=4096)},)


def test_export_with_dynamic_sizes(encoder: nn.Module) -> None:
    whole = over(encoder)
    exported = torch.export.export(whole, (image(64, 96, 2),), dynamic_shapes=dynamic_shapes()).module()
    with torch.no_grad():
        for batch, size in enumerate(OTHER_SIZES, start=1):
            same(exported(image(*size, batch)), whole(image(*size, batch)))


class ChannelsInnermost(nn.Module):
    """A neck of one level whose channels lie innermost in memory, as a norm over channels leaves them."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.out_channels, self.reductions = (channels,), (reduction,)
        self.norm = nn.LayerNorm(channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return [self.norm(features[-1].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)]


def test_export_where_channels_lie_innermost() -> None:
    """Whatever follows in the graph: a batch norm asks for the order of the strides."""
    torch.manual_seed(0)
    encoder = FloorPyramid((7, 14))
    whole = nn.Sequential(EncoderWithNeck(encoder, ChannelsInnermost(5, 14)), First(), nn.BatchNorm2d(5)).eval()
    assert not whole[0](image(29, 43))[0].is_contiguous()
    exported = torch.export.export(whole, (image(64, 96, 2),), dynamic_shapes=dynamic_shapes()).module()
    with torch.no_grad():
        same([exported(image(45, 86))], [whole(image(45, 86))])


class First(nn.Module):
    def forward(self, features: list[Tensor]) -> Tensor:
        return features[0]


@pytest.mark.parametrize("form", ["script", "trace"])
def test_script_and_trace_hold_for_other_sizes(encoder: nn.Module, form: str) -> None:
    whole = over(encoder)
    other = torch.jit.script(whole) if form == "script" else torch.jit.trace(whole, image(64, 96), strict=False)
    with torch.no_grad():
        for size in OTHER_SIZES:
            same(other(image(*size)), whole(image(*size)))


# --- the cut


@pytest.mark.parametrize("form", ["eager", "script", "compile", "export"])
def test_cut(form: str) -> None:
    class Cut(nn.Module):
        def forward(self, x: Tensor, like: Tensor) -> Tensor:
            return cut(x, like.shape[2], like.shape[3])

    x = torch.arange(2 * 3 * 5 * 7.0).reshape(2, 3, 5, 7)
    module: nn.Module = Cut()
    torch.compiler.reset()
    if form == "script":
        module = torch.jit.script(module)
    elif form == "compile":
        module = torch.compile(module, fullgraph=True, dynamic=True, backend="aot_eager")
    for height, width in itertools.product((1, 4, 5), (2, 7)):
        like = torch.zeros(1, 1, height, width)
        found = torch.export.export(Cut(), (x, like)).module()(x, like) if form == "export" else module(x, like)
        assert torch.equal(found, functional.pad(x, [0, width - 7, 0, height - 5]))
        assert torch.equal(found, x[:, :, :height, :width])
