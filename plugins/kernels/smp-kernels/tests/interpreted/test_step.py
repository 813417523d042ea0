"""The decoder step against its plain form, which is written down here without any identity."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch
from step_reference import assert_close, double, given, plain, random
from torch import Tensor
from torch.nn import functional

from smp_core.layers import ConvNormAct, use_form
from smp_core.layers.upsample import transposed_kernel
from smp_kernels import launching, step
from smp_kernels.step import decoder_step

# Channels of the map below, of the skip and of the result: none of either, fewer and more than a block, several blocks.
CHANNELS = [(3, 5, 4), (2, 0, 17), (0, 20, 33), (34, 3, 2), (16, 16, 16)]
SIZES = [(4, 6), (7, 8), (6, 3), (5, 5), (1, 1), (2, 1)]
# Rounding of sums of some hundred products, relative to the largest result.
BOUNDS = {torch.float64: 1e-14, torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}


@pytest.fixture(autouse=True)
def no_failures() -> None:
    """A test whose kernel gave way to the plain form would compare that with itself."""
    launching._failed.clear()


@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
@pytest.mark.parametrize("channels", CHANNELS, ids=str)
def test_the_step_equals_its_plain_form(channels: tuple[int, int, int], dtype: torch.dtype) -> None:
    for number, size in enumerate(SIZES if dtype == torch.float64 else SIZES[1:3]):
        if channels[1] == 0 and (size[0] % 2 or size[1] % 2):
            continue  # only a skip has an odd size; see below
        x, skip, weight, bias = given(channels, size, dtype, batch=1 + number % 2)
        relu = number % 2 == 0
        got = decoder_step(x, skip, weight, bias, *size, relu)
        assert got.dtype == dtype
        assert_close(got, plain(*double(x, skip, weight, bias), relu=relu), BOUNDS[dtype])
    assert launching._failed == set()


def test_a_map_without_a_skip_in_an_odd_size() -> None:
    x, _, weight, bias = given((3, 0, 4), (7, 5))
    assert x is not None
    up = x.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, :7, :5]
    got = decoder_step(x, None, weight, bias, 7, 5, False)
    assert_close(got, functional.conv2d(up, weight, bias, padding=1), 1e-14)
    assert launching._failed == set()


def test_views_slices_and_layouts() -> None:
    x, skip, weight, bias = given((3, 5, 4), (6, 8))
    assert x is not None
    assert skip is not None
    expected = plain(x, skip, weight, bias, relu=True)
    wide = random(2, 9, 8, 12, seed=7).contiguous(memory_format=torch.channels_last)
    wide[1:, 2:7, 1:7, 2:10] = skip
    flipped = x.flip(2).contiguous().flip(2)
    views = [
        (x.contiguous(memory_format=torch.channels_last), wide[1:, 2:7, 1:7, 2:10]),
        (flipped.transpose(2, 3).contiguous().transpose(2, 3), skip.contiguous(memory_format=torch.channels_last)),
        (x.expand(2, -1, -1, -1)[1:], skip.repeat(1, 1, 1, 2)[..., :8]),
    ]
    for low, high in views:
        for kernel in (weight, weight.contiguous(memory_format=torch.channels_last)):
            before = low.clone(), high.clone()
            got = decoder_step(low, high, kernel, bias, 6, 8, True)
            assert_close(got, expected, 1e-14)
            assert got.is_contiguous(memory_format=torch.channels_last)
            assert torch.equal(low, before[0])
            assert torch.equal(high, before[1])
    known = transposed_kernel(weight[:, :3]).contiguous(memory_format=torch.channels_last)
    assert_close(decoder_step(x, skip, weight, bias, 6, 8, True, known), expected, 1e-14)
    assert launching._failed == set()


def test_skips_and_batches_of_nothing() -> None:
    x, skip, weight, bias = given((3, 0, 4), (6, 8))
    empty = torch.zeros(1, 0, 6, 8, dtype=torch.float64)
    assert_close(decoder_step(x, empty, weight, bias, 6, 8, True), plain(x, skip, weight, bias, relu=True), 1e-14)
    none = torch.zeros(0, 3, 3, 4, dtype=torch.float64)
    assert decoder_step(none, None, weight, None, 6, 8, False).shape == (0, 4, 6, 8)
    message = "decoder_step: a map to upsample, a skip, or both must have channels; neither has"
    with pytest.raises(ValueError, match=f"^{message}$"):
        decoder_step(None, empty, weight, bias, 6, 8, True)


def test_nan_is_not_hidden_by_relu() -> None:
    x, skip, weight, bias = given((3, 5, 4), (4, 4))
    assert skip is not None
    skip[0, 0, 1, 1] = torch.nan
    assert decoder_step(x, skip, weight, bias, 4, 4, True).isnan().sum() == 4 * 9


def test_places_beyond_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    _reach = step._reach
    assert _reach(torch.empty(3, 4, 5, 6).contiguous(memory_format=torch.channels_last)) == 3 * 4 * 5 * 6 - 1
    far = torch.empty_strided((2, 1, 1, 1), (2**31, 1, 1, 1), device="meta")
    assert _reach(far) == 2**31
    monkeypatch.setattr(step, "_NARROW", 0)
    items = given((3, 5, 4), (4, 6))
    assert_close(decoder_step(*items, 4, 6, True), plain(*items, relu=True), 1e-14)
    assert launching._failed == set()


def test_autocast_casts_as_a_convolution_does() -> None:
    x, skip, weight, bias = given((3, 5, 4), (4, 4), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = decoder_step(x, skip, weight, bias, 4, 4, False)
    assert got.dtype == torch.bfloat16
    assert_close(got, plain(*double(x, skip, weight, bias), relu=False), 2e-2)
    assert launching._failed == set()


# --- faults


def changed(**items: Tensor | None) -> dict[str, Tensor | None]:
    x, skip, weight, bias = given((3, 5, 4), (6, 8))
    return {"x": x, "skip": skip, "weight": weight, "bias": bias, "transposed": None, **items}


FOR_A_WEIGHT = "for a weight (4, 8, 3, 3) and 3 channels of x"
MISFITS: list[tuple[dict[str, Tensor | None], str]] = [
    ({"skip": random(1, 2, 6, 8)}, f"skip of shape (1, 5, 6, 8), {FOR_A_WEIGHT}; got (1, 2, 6, 8)"),
    ({"skip": random(1, 5, 3, 4)}, f"skip of shape (1, 5, 6, 8), {FOR_A_WEIGHT}; got (1, 5, 3, 4)"),
    ({"skip": random(2, 5, 6, 8)}, f"skip of shape (1, 5, 6, 8), {FOR_A_WEIGHT}; got (2, 5, 6, 8)"),
    ({"skip": random(5, 6, 8)}, f"skip of shape (1, 5, 6, 8), {FOR_A_WEIGHT}; got (5, 6, 8)"),
    ({"x": None}, "skip of shape (1, 8, 6, 8), for a weight (4, 8, 3, 3) and 0 channels of x; got (1, 5, 6, 8)"),
    (
        {"skip": None},
        "x with 8 channels, as there is no skip and the weight has shape (4, 8, 3, 3); got (1, 3, 3, 4)",
    ),
    ({"x": random(1, 3, 2, 4)}, "a map of half of 6x8, rounded up; got x of shape (1, 3, 2, 4)"),
    ({"x": random(1, 3, 3, 6)}, "a map of half of 6x8, rounded up; got x of shape (1, 3, 3, 6)"),
    (
        {"weight": random(4, 8, 5, 5)},
        "maps (N, C, H, W) and a weight (out_channels, in_channels, 3, 3); got (1, 3, 3, 4) and (4, 8, 5, 5)",
    ),
    (
        {"weight": random(4, 8, 3)},
        "maps (N, C, H, W) and a weight (out_channels, in_channels, 3, 3); got (1, 3, 3, 4) and (4, 8, 3)",
    ),
    ({"bias": random(3)}, f"bias of shape (4,), {FOR_A_WEIGHT}; got (3,)"),
    ({"transposed": random(4, 3, 4, 4)}, f"transposed of shape (3, 4, 4, 4), {FOR_A_WEIGHT}; got (4, 3, 4, 4)"),
    ({"x": None, "skip": None}, "a map to upsample, a skip, or both; got neither"),
    (
        {"x": random(1, 3, 3, 4, dtype=torch.float32)},
        "tensors of one dtype, float16, bfloat16, float32 or float64, on one device; got x torch.float32 on cpu, skip "
        "torch.float64 on cpu, weight torch.float64 on cpu, bias torch.float64 on cpu",
    ),
    (
        {"bias": torch.zeros(4, dtype=torch.float64, device="meta")},
        "tensors of one dtype, float16, bfloat16, float32 or float64, on one device; got x torch.float64 on cpu, skip "
        "torch.float64 on cpu, weight torch.float64 on cpu, bias torch.float64 on meta",
    ),
]


@pytest.mark.parametrize(("items", "message"), MISFITS, ids=range(len(MISFITS)))
def test_arguments_that_do_not_fit_are_read_nowhere(items: dict[str, Tensor | None], message: str) -> None:
    """By the operator, and where sizes alone are computed."""
    arguments = changed(**items)
    with pytest.raises(RuntimeError, match=f"^{re.escape('decoder_step: expected ' + message)}$"):
        step._step(**arguments, height=6, width=8, relu=True)
    without = {name: None if item is None else item.to("meta") for name, item in arguments.items()}
    with pytest.raises(RuntimeError, match=r"^decoder_step: expected "):
        torch.ops.smp_kernels.decoder_step(*(arguments if "cpu" in message else without).values(), 6, 8, True)
    assert launching._failed == set()


def test_a_users_error_is_no_failure_of_the_kernel() -> None:
    block, x = ConvNormAct(8, 4, 3, 1).eval().double(), random(1, 8, 8, 8)
    plain_form = block(x).detach()
    with torch.no_grad(), use_form("conv3x3", "kernel"):
        for wrong, message in (
            (x.float(), "Input type .* should be the same|expected scalar type Float but found Double|expected input"),
            (x[:, :5], "to have 8 channels, but got 5 channels instead"),
        ):
            with pytest.raises(RuntimeError, match=message):
                block(wrong)
        assert launching._failed == set()
        assert_close(block(x), plain_form, 1e-14)


def test_a_kernel_that_fails_gives_way_once_and_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        broken.calls += 1  # type: ignore[attr-defined]
        raise RuntimeError("no such instruction")

    broken.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(step, "launch", broken)
    items = given((3, 5, 4), (4, 4))
    message = (
        "smp-kernels: the kernel of the decoder step failed (RuntimeError: no such instruction), and the plain form "
        "runs in its place; further failures of it are not told of. pip uninstall smp-kernels is the same without this "
        "warning"
    )
    with pytest.warns(RuntimeWarning, match=f"^{re.escape(message)}$"):
        got = decoder_step(*items, 4, 4, True)
    assert_close(got, plain(*items, relu=True), 1e-14)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoder_step(*items, 4, 4, True)
        assert broken.calls == 1  # type: ignore[attr-defined]
        decoder_step(*given((2, 5, 4), (4, 4)), 4, 4, True)
    assert broken.calls == 2  # type: ignore[attr-defined]


def test_the_choices_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kernel:
        def __init__(self) -> None:
            self.cache = {number: number for number in range(launching._MAX_CHOICES)}
            self.ran: list[Any] = []

        def __getitem__(self, grid: Any) -> Any:
            return lambda *args, **keywords: self.ran.append((grid, args, keywords))

    kernel = Kernel()
    launching.launch(kernel, (1,), torch.zeros(1), 1, size=2)
    assert kernel.cache == {}
    assert kernel.ran == [((1,), (1,), {"size": 2})]
    assert [launching.size_class(number) for number in (0, 1, 2, 3, 4, 5, 1024, 1025)] == [0, 0, 1, 2, 2, 3, 10, 11]
    assert launching.device_class(torch.zeros(1)) == 0
