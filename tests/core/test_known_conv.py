"""Convolutions of inference forms, in whichever way the table has for them, against the plain ones."""

import copy
import dataclasses
import io
import pickle

import pytest
import torch
from torch import nn

import smp_core
from smp_core.layers import is_stock, use_form
from smp_core.layers.known_conv import KnownConv2d, with_kernels
from smp_core.layers.known_forms import KNOWN_FORMS

CHANNELS = 128


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
    """The forms that have run, in turn."""
    counted = []

    def counting(name, form):
        return dataclasses.replace(form, convolve=lambda *given: (counted.append(name), form.convolve(*given))[1])

    forms = {name: counting(name, form) for name, form in KNOWN_FORMS.items()}
    monkeypatch.setattr("smp_core.layers.known_conv.KNOWN_FORMS", forms)
    return counted


@pytest.mark.parametrize(
    ("form", "plain", "size"),
    [
        ("winograd_4x4", conv(), (24, 25)),
        ("winograd_4x4", conv(dilation=2), (24, 25)),
        ("winograd_4x4", conv(64, 64), (96, 97)),
        ("winograd_2x2", conv(384, 384), (12, 13)),
        ("taps", conv(16, 1), (48, 50)),
        ("taps", conv(16, 4, bias=False), (48, 50)),
        ("onednn", nn.Conv2d(24, 40, 1).eval().to(memory_format=torch.channels_last), (48, 50)),
        ("shifted", conv(groups=CHANNELS, dilation=8), (24, 25)),
        ("shifted", conv(groups=CHANNELS, dilation=36, bias=False), (24, 25)),
    ],
)
def test_a_prepared_convolution_takes_its_form(runs, form, plain, size):
    x, made = image(2, plain.in_channels, *size), prepared(plain)
    assert type(made) is KnownConv2d
    assert is_stock(made, nn.Conv2d)
    with torch.no_grad():
        torch.testing.assert_close(made(x), plain(x), rtol=1e-4, atol=2e-5)
    assert runs == [form]


@pytest.mark.parametrize(
    ("plain", "size"),
    [
        (conv(), (9, 11)),  # too few pixels
        (conv(), (13, 13)),  # too much is cut off
        (conv(dilation=12), (30, 30)),
        (conv(dilation=16), (33, 33)),
        (conv(384, 384), (9, 9)),
        (conv(16, 1), (30, 30)),
    ],
)
def test_where_it_would_not_be_faster_it_does_not_run(runs, plain, size):
    x, made = image(2, plain.in_channels, *size), prepared(plain)
    assert type(made) is KnownConv2d
    with torch.no_grad():
        assert torch.equal(made(x), plain(x))
    assert not runs


@pytest.mark.parametrize("form", ["winograd_2x2", "winograd_4x4", "taps"])
def test_another_form_can_be_asked_for(runs, form):
    plain, x = conv(16, 3), image(1, 16, 12, 13)
    with use_form("known_conv3x3", form), torch.no_grad():
        torch.testing.assert_close(prepared(plain)(x), plain(x), rtol=1e-4, atol=1e-5)
    assert runs == [form]


@pytest.mark.parametrize("plain", [conv(3, 16), conv(16, 16)])
def test_the_taps_of_many_outputs_are_not_taken(plain):
    with use_form("known_conv3x3", "taps"):
        assert type(prepared(plain)) is nn.Conv2d


def test_an_empty_map_comes_out_empty(runs):
    with torch.no_grad():
        assert prepared(conv())(image(0, CHANNELS, 24, 24)).shape == (0, CHANNELS, 24, 24)
    assert not runs


@pytest.mark.parametrize(
    "plain",
    [
        conv(63),
        conv(out=63),
        conv(groups=2),
        conv(groups=CHANNELS),
        conv(groups=CHANNELS, dilation=7),
        conv(CHANNELS, 2 * CHANNELS, groups=CHANNELS, dilation=8),
        conv(dilation=24),
        conv(padding_mode="reflect"),
        conv().double(),
        conv().bfloat16(),
        conv().to(memory_format=torch.contiguous_format),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, stride=2).to(memory_format=torch.channels_last),
        nn.Conv2d(CHANNELS, CHANNELS, 3).to(memory_format=torch.channels_last),
        nn.Conv2d(CHANNELS, CHANNELS, 1, padding=1).to(memory_format=torch.channels_last),
        nn.Conv2d(CHANNELS, CHANNELS, 1, stride=2).to(memory_format=torch.channels_last),
        nn.Conv2d(CHANNELS, CHANNELS, 1, groups=2).to(memory_format=torch.channels_last),
        nn.Conv2d(CHANNELS, CHANNELS, 5, padding=2).to(memory_format=torch.channels_last),
        nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, padding=1).to(memory_format=torch.channels_last),
    ],
    ids=[
        "inputs",
        "outputs",
        "groups",
        "depthwise",
        "depthwise, near",
        "depthwise, widened",
        "far",
        "reflect",
        "double",
        "bfloat16",
        "rows",
        "stride",
        "valid",
        "1x1, padded",
        "1x1, strided",
        "1x1, grouped",
        "5x5",
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
    made, plain, x = prepared(conv()), conv(), image(1, CHANNELS, 24, 24)
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
    made, x = prepared(conv()), image(1, CHANNELS, 24, 24).requires_grad_()
    made(x).sum().backward()
    assert x.grad is not None
    assert not runs


def test_it_gives_way_under_autocast(runs):
    made, x = prepared(conv()), image(1, CHANNELS, 24, 24)
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
    made, x = prepared(conv()), image(1, CHANNELS, 24, 24)
    with torch.no_grad():
        assert torch.equal(make(made)(x), made(x))
        assert len(runs) == 2
        made.weight.mul_(2)
        assert torch.equal(make(made)(x), made(x))
    assert len(runs) == 2


def test_it_compiles_exports_and_is_scripted():
    made, x = prepared(conv()), image(2, CHANNELS, 24, 24)
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
    assert sum(isinstance(part, KnownConv2d) for part in fast.modules()) == 21
    x = image(1, 3, 192, 200)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-4)
    # Of 192 x 200 pixels the head, and of the first three stages what has stride 1; the maps of the last are too small.
    assert sorted(runs) == ["taps"] + ["winograd_4x4"] * 10
