"""Convolutions of inference forms with fewer multiplications, against the plain ones."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

import smp_core
from smp_core.layers import is_stock, use_form
from smp_core.layers.winograd import WinogradConv2d, convolve_winograd, winograd_kernel, with_kernels

CHANNELS = 192  # as few as the table has it for


def image(*shape, dtype=torch.float32):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last)


def conv(channels=CHANNELS, out=CHANNELS, dilation=1, **more):
    torch.manual_seed(0)
    made = nn.Conv2d(channels, out, 3, padding=dilation, dilation=dilation, **more).eval().requires_grad_(False)
    return made.to(memory_format=torch.channels_last)


def prepared(module):
    return with_kernels(nn.Sequential(copy.deepcopy(module)))[0]


@pytest.fixture
def runs(monkeypatch):
    """How often the fast form has run."""
    counted = []
    monkeypatch.setattr(
        "smp_core.layers.winograd.convolve_winograd", lambda *given: (counted.append(1), convolve_winograd(*given))[1]
    )
    return counted


@pytest.mark.parametrize("dilation", [1, 2, 3, 12])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (9, 8), (24, 24)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_it_is_the_convolution_in_float64(size, dilation, with_bias):
    x, weight = image(2, 5, *size, dtype=torch.float64), image(7, 5, 3, 3, dtype=torch.float64)
    bias = torch.arange(7, dtype=torch.float64) if with_bias else None
    expected = functional.conv2d(x, weight, bias, padding=dilation, dilation=dilation)
    out = convolve_winograd(x, winograd_kernel(weight), bias, dilation)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("most", [1, 16 * 7 * 2 * 5 * 2 * 2])
def test_some_rows_at_a_time_give_the_same(monkeypatch, most):
    monkeypatch.setattr("smp_core.layers.winograd._MOST_PLACES", most)
    test_it_is_the_convolution_in_float64((17, 9), 1, with_bias=True)
    test_it_is_the_convolution_in_float64((17, 9), 2, with_bias=False)


def test_in_float32_it_rounds_no_worse_than_the_convolution():
    x, plain = image(1, 512, 16, 16).relu(), conv(512, 256)
    exact = plain.double()(x.double())
    plain = plain.float()
    errors = [
        (found - exact).norm() / exact.norm()
        for found in (convolve_winograd(x, winograd_kernel(plain.weight), plain.bias, 1), plain(x))
    ]
    assert errors[0] < 4 * errors[1] < 1e-5


@pytest.mark.parametrize("dilation", [1, 2])
def test_a_prepared_convolution_takes_it(runs, dilation):
    plain, x = conv(dilation=dilation), image(1, CHANNELS, 12, 13)
    made = prepared(plain)
    assert type(made) is WinogradConv2d
    assert is_stock(made, nn.Conv2d)
    with torch.no_grad():
        torch.testing.assert_close(made(x), plain(x), rtol=1e-4, atol=1e-5)
    assert runs


@pytest.mark.parametrize(
    "plain",
    [
        conv(CHANNELS - 1),
        conv(out=CHANNELS - 1),
        conv(groups=2),
        conv(padding_mode="reflect"),
        conv().double(),
        conv().bfloat16(),
        conv().to(memory_format=torch.contiguous_format),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, stride=2).to(memory_format=torch.channels_last),
        nn.Conv2d(CHANNELS, CHANNELS, 3).to(memory_format=torch.channels_last),
        nn.Conv2d(CHANNELS, CHANNELS, 1).to(memory_format=torch.channels_last),
        nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, padding=1).to(memory_format=torch.channels_last),
    ],
    ids=[
        "inputs",
        "outputs",
        "groups",
        "reflect",
        "double",
        "bfloat16",
        "rows",
        "stride",
        "valid",
        "1x1",
        "transposed",
    ],
)
def test_others_stay_what_they_are(plain):
    assert type(prepared(plain)) is type(plain)


def test_what_is_hooked_stays_what_it_is():
    plain = conv()
    plain.register_forward_hook(lambda *_: None)
    assert type(prepared(plain)) is nn.Conv2d


def test_under_the_plain_form_nothing_is_prepared():
    with use_form("known_conv3x3", "plain"):
        assert type(prepared(conv())) is nn.Conv2d


def case(change):
    made, plain, x = prepared(conv()), conv(), image(1, CHANNELS, 12, 12)
    return (*change(made, plain, x),)


def weight_written(made, plain, x):
    made.weight.mul_(2)
    plain.weight.mul_(2)
    return made, plain, x


def weight_exchanged(made, plain, x):
    made.weight = plain.weight = nn.Parameter(plain.weight * 2, requires_grad=False)
    return made, plain, x


def padding_changed(made, plain, x):
    made.padding_mode = plain.padding_mode = "reflect"
    made._reversed_padding_repeated_twice = plain._reversed_padding_repeated_twice = [1, 1, 1, 1]
    return made, plain, x


def rows_innermost(made, plain, x):
    return made, plain, x.contiguous()


def small_map(made, plain, x):
    return made, plain, x[:, :, :9, :11].contiguous(memory_format=torch.channels_last)


def in_double(made, plain, x):
    return made.double(), plain.double(), x.double()


@pytest.mark.parametrize(
    "change", [weight_written, weight_exchanged, padding_changed, rows_innermost, small_map, in_double]
)
def test_it_gives_way_to_the_plain_form(runs, change):
    with torch.no_grad():
        made, plain, x = case(change)
        assert torch.equal(made(x), plain(x))
    assert not runs


def test_it_gives_way_where_a_gradient_is_wanted(runs):
    made, x = prepared(conv()), image(1, CHANNELS, 12, 12).requires_grad_()
    made(x).sum().backward()
    assert x.grad is not None
    assert not runs


def test_it_gives_way_under_autocast(runs):
    made, x = prepared(conv()), image(1, CHANNELS, 12, 12)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert made(x).dtype == torch.bfloat16
    assert not runs


def saved(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("make", [copy.deepcopy, lambda item: pickle.loads(pickle.dumps(item)), saved])
def test_copies_keep_their_kernel_and_that_of_another_weight_not(runs, make):
    made, x = prepared(conv()), image(1, CHANNELS, 12, 12)
    with torch.no_grad():
        assert torch.equal(make(made)(x), made(x))
        assert len(runs) == 2
        made.weight.mul_(2)
        assert torch.equal(make(made)(x), made(x))
    assert len(runs) == 2


def test_it_compiles_exports_and_is_scripted():
    made, x = prepared(conv()), image(2, CHANNELS, 12, 12)
    dynamic = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height", min=2), 3: torch.export.Dim("width", min=2)}
    with torch.no_grad():
        expected = conv()(x)
        program = torch.export.export(made, (x,), dynamic_shapes=(dynamic,))
        assert {str(node.target) for node in program.graph.nodes if node.op == "call_function"} == {
            "aten.conv2d.default"
        }
        for form in (
            torch.compile(made, backend="eager", fullgraph=True),
            program.module(),
            torch.fx.symbolic_trace(nn.Sequential(made)),
        ):
            torch.testing.assert_close(form(x), expected, rtol=1e-4, atol=1e-5)


def test_an_optimised_model_has_them_and_agrees(runs):
    torch.manual_seed(0)
    model = smp_core.create("pan", "resnet18", encoder_weights=None, classes=3).eval()
    fast = smp_core.optimize(model)
    assert sum(isinstance(part, WinogradConv2d) for part in fast.modules()) == 7
    x = image(1, 3, 192, 200)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-4)
    assert len(runs) == 7
