"""Which form of a fused layer runs: the table, the override, plugins' rules, and that all forms are equal."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from settled import furthest
from torch import Tensor
from torch.nn import functional

import smp_core
from smp_core import registry
from smp_core._specs.form import KERNEL, LAYERS
from smp_core.errors import InvalidSpecError, OptionError
from smp_core.layers import ResizedConcat, add_enlarged, form_for, use_form
from smp_core.layers.enlarging import enlarged
from smp_core.layers.forms import TABLE
from smp_core.plugin import FormRule
from smp_core.registry.discovery import LoadedPlugin, PluginRecord
from smp_core.registry.resolution import Registry


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- the table


def test_every_row_says_where_it_was_measured() -> None:
    # The core has no kernels of its own.
    assert {rule.layer for rule in TABLE} == {
        layer for layer, forms in LAYERS.items() if set(forms) - {"plain", KERNEL}
    }
    assert all(len(rule.measured) > 20 and rule.form != "plain" for rule in TABLE)
    assert len({rule.name for rule in TABLE}) == len(TABLE)
    assert TABLE[0].name == "upsample_conv3x3=transposed cpu compiled"


def test_forms_by_device_layout_and_size() -> None:
    x = torch.zeros(1, 8, 4, 4)
    assert [form_for("upsample_conv3x3", x, pixels) for pixels in (1024, 4096)] == ["plain", "transposed"]
    assert [form_for("known_upsample_conv3x3", x, pixels) for pixels in (64, 256)] == ["plain", "transposed"]
    last = x.contiguous(memory_format=torch.channels_last)
    assert form_for("upsample_conv3x3", x.to("meta"), 4096) == "plain"
    assert form_for("enlarge", x) == "matrix"
    assert [form_for("enlarge", last, pixels) for pixels in (1024, 4096)] == ["plain", "matrix"]
    assert form_for("dense_block", x) == "buffer"
    assert form_for("dense_block", x.half()) == form_for("dense_block", last) == "plain"


def test_a_compiled_call_asks_for_no_sizes() -> None:
    def asked(x: Tensor) -> Tensor:
        return x + (form_for("enlarge", x, 10**6) == "plain") + 2 * (form_for("upsample_conv3x3", x) == "transposed")

    x = torch.zeros(1, 8, 4, 4)
    assert asked(x).unique().tolist() == [0]
    compiled = torch.compile(asked, backend="eager", fullgraph=True)
    assert compiled(x).unique().tolist() == [3]


# --- the override


def test_an_override_holds_within_its_block() -> None:
    x = torch.zeros(1, 8, 4, 4)
    with use_form("enlarge", "plain"):
        assert form_for("enlarge", x) == "plain"
        with use_form("enlarge", "matrix"), use_form("layout", "plain"):
            assert form_for("enlarge", x.to("meta")) == "matrix"
            assert form_for("layout", x) == "plain"
        assert form_for("enlarge", x) == "plain"
        assert form_for("layout", x, 512 * 512) == "channels_last"
    assert form_for("enlarge", x) == "matrix"


def test_blocks_that_overlap_leave_nothing_behind() -> None:
    x = torch.zeros(1, 8, 4, 4)
    first, second, third = use_form("enlarge", "plain"), use_form("enlarge", "matrix"), use_form("enlarge", "plain")
    for block in (first, second, third):
        block.__enter__()
    first.__exit__(None, None, None)
    assert form_for("enlarge", x.to("meta")) == "plain"
    third.__exit__(None, None, None)
    assert form_for("enlarge", x.to("meta")) == "matrix"
    second.__exit__(None, None, None)
    assert form_for("enlarge", x.to("meta")) == "plain"
    assert form_for("enlarge", x) == "matrix"


@pytest.mark.parametrize(
    ("layer", "form", "message"),
    [
        ("conv", "plain", f"unknown fused layer 'conv'; expected one of {', '.join(LAYERS)}"),
        ("enlarge", "fast", "unknown form 'fast' of 'enlarge'; expected one of plain, matrix"),
    ],
)
def test_an_override_of_what_there_is_not(layer: str, form: str, message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"), use_form(layer, form):
        pass


# --- plugins


def rule(**changes: object) -> FormRule:
    fields = {"layer": "enlarge", "form": "plain", "device": "cpu", "measured": "nowhere: a rule of this test"}
    return FormRule(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_plugins_rules_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [rule(dtypes=("float32",), most_channels=8, gradient=False)]
    record = PluginRecord(distribution="acme-forms", version="1", module="acme_forms.plugin")
    plugin = LoadedPlugin(record=record, forms={item.name: item for item in rules})
    monkeypatch.setattr(registry, "_registry", Registry([plugin]))
    x = torch.zeros(1, 8, 4, 4)
    assert form_for("enlarge", x) == "matrix"
    with torch.no_grad():
        assert form_for("enlarge", x) == "plain"
        assert form_for("enlarge", x.double()) == "matrix"
        assert form_for("enlarge", torch.zeros(1, 9, 4, 4)) == "matrix"


def test_a_rule_that_cannot_be() -> None:
    message = (
        "FormRule of 'enlarge' is invalid:\n"
        "  field 'form': expected one of plain, matrix, got 'fast'\n"
        "  field 'measured': expected where it was measured, and with what result, got ''\n"
        "  field 'dtypes': expected a tuple of float16, bfloat16, float32, float64, got ('int8',)\n"
        "  field 'memory_format': expected None, 'contiguous' or 'channels_last', got 'nhwc'\n"
        "  field 'least_pixels': expected an int of at least 0, got -1"
    )
    with pytest.raises(InvalidSpecError, match=f"^{re.escape(message)}$"):
        rule(form="fast", measured="", dtypes=("int8",), memory_format="nhwc", least_pixels=-1)
    with pytest.raises(InvalidSpecError, match=r"field 'layer': expected one of upsample_conv3x3, .*, got 'conv'"):
        rule(layer="conv")
    with pytest.raises(InvalidSpecError, match=r"field 'layer': expected one of upsample_conv3x3, .*, got \(\)"):
        rule(layer=[])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtypes": ([],)}, "field 'dtypes': expected a tuple of float16, bfloat16, float32, float64, got ([],)"),
        (
            {"device": "cpu:0"},
            "field 'device': expected the type of a device, such as 'cuda', without a number, got 'cpu:0'",
        ),
        (
            {"device": "CUDA"},
            "field 'device': expected the type of a device, such as 'cuda', without a number, got 'CUDA'",
        ),
        (
            {"least_channels": 9, "most_channels": 3},
            "field 'most_channels': expected at least least_channels, 9, got 3",
        ),
        ({"compiled": 1}, "field 'compiled': expected None, True or False, got 1"),
        ({"gradient": 0}, "field 'gradient': expected None, True or False, got 0"),
        (
            {"compiled": True, "least_pixels": 9},
            "field 'least_pixels': expected 0, as a compiled call knows no sizes, got 9",
        ),
        (
            {"compiled": True, "memory_format": "contiguous"},
            "field 'memory_format': expected None, which a compiled call does not know, got 'contiguous'",
        ),
    ],
    ids=str,
)
def test_a_rule_that_would_never_hold(changes: dict[str, object], message: str) -> None:
    with pytest.raises(
        InvalidSpecError,
        match=f"^{re.escape(f'FormRule of {chr(39)}enlarge{chr(39)} is invalid:')}\n  {re.escape(message)}$",
    ):
        rule(**changes)


# --- the forms


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_small_maps_enlarged_by_one_product(layout: torch.memory_format, align_corners: bool) -> None:
    out = random(2, 5, 11, 14).contiguous(memory_format=layout).requires_grad_()
    maps = [random(2, 5, size, size, seed=size).requires_grad_() for size in (1, 2, 3, 6)]
    wanted = out
    for x in maps:
        wanted = wanted + functional.interpolate(x, size=(11, 14), mode="bilinear", align_corners=align_corners)
    got = add_enlarged(out, maps, align_corners)
    assert furthest(got.detach(), wanted.detach()) < 1e-14
    assert got.is_contiguous(memory_format=layout)
    single = functional.interpolate(maps[2], size=(11, 14), mode="bilinear", align_corners=align_corners)
    assert furthest(enlarged(maps[2], 11, 14, align_corners).detach(), single.detach()) < 1e-14
    weight = random(2, 5, 11, 14, seed=9)
    of_got = torch.autograd.grad((got * weight).sum(), [out, *maps])
    of_wanted = torch.autograd.grad((wanted * weight).sum(), [out, *maps])
    for a, b in zip(of_got, of_wanted, strict=True):
        assert furthest(a, b) < 1e-13


def test_large_maps_are_interpolated() -> None:
    resize = ResizedConcat(("none", "after"))
    maps, weight = [random(1, 2, 40, 40), random(1, 3, 9, 9)], random(4, 5, 1, 1)
    with use_form("enlarge", "matrix"), torch.profiler.profile() as profile:
        resize.project(maps, weight, None, 40, 40)
    assert any("upsample_bilinear2d" in event.name for event in profile.events())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_infinite_pixel_spreads_as_far_as_interpolation_spreads_it(layout: torch.memory_format) -> None:
    resize, maps = ResizedConcat(("none", "after")), [random(1, 2, 40, 40), random(1, 3, 6, 6)]
    maps = [x.contiguous(memory_format=layout) for x in maps]
    maps[1][0, 1, 2, 2] = torch.inf
    weight = random(4, 5, 1, 1)
    wanted = functional.conv2d(resize(maps, 40, 40), weight)
    with use_form("enlarge", "matrix"):
        got = resize.project(maps, weight, None, 40, 40)
    assert torch.equal(got.isfinite(), wanted.isfinite())
    assert got.isfinite().double().mean() > 0.8


@pytest.mark.parametrize(
    ("architecture", "layer", "form"),
    [
        ("unet", "upsample_conv3x3", "transposed"),
        ("unetplusplus", "upsample_conv3x3", "transposed"),
        ("manet", "upsample_conv3x3", "transposed"),
        ("fpn", "upsample_conv3x3", "transposed"),
        ("upernet", "resized_conv3x3", "plain"),
        ("upernet", "enlarge", "matrix"),
        ("pspnet", "enlarge", "plain"),
        ("pspnet", "enlarge", "matrix"),
        ("deeplabv3", "layout", "channels_last"),
    ],
)
def test_every_form_gives_the_same(architecture: str, layer: str, form: str) -> None:
    torch.manual_seed(0)
    model = smp_core.create(architecture, "resnet18", encoder_weights=None, classes=3).eval().double()
    x = random(1, 3, 64, 96)
    run: Callable[[], Tensor] = lambda: model(x).detach()  # noqa: E731
    expected = run()
    with use_form(layer, form):
        assert furthest(run(), expected) < 1e-12
