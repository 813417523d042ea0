"""The 3x3 convolution of maps resized to one size, against resizing, concatenating and convolving."""

import pytest
import torch

from smp_core.layers import convolve_resized, resize_concat, resized_concat3x3

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
# The first is not resized, the second by too little for the matrices, the others by them.
SIZES = [(13, 10), (9, 8), (6, 5), (3, 1)]


def maps_of(batch, layout, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, 3 + index, *size, generator=generator, dtype=dtype).contiguous(memory_format=layout)
        for index, size in enumerate(SIZES)
    ]


def weights(maps, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    channels = sum(x.shape[1] for x in maps)
    return (
        torch.randn(7, channels, 3, 3, generator=generator, dtype=dtype),
        torch.randn(7, generator=generator, dtype=dtype),
    )


def plain(maps, weight, bias):
    return torch.nn.functional.conv2d(resize_concat(maps, *SIZES[0]), weight, bias, padding=1)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_either_layout_gives_the_convolution_of_the_concatenation(layout, with_bias, batch):
    maps = maps_of(batch, LAYOUTS[layout])
    weight, bias = weights(maps)
    bias = bias if with_bias else None
    out = convolve_resized(maps, weight, bias, *SIZES[0])
    torch.testing.assert_close(out, plain(maps, weight, bias), rtol=1e-10, atol=1e-10)
    assert out.is_contiguous(memory_format=LAYOUTS[layout])


def test_maps_of_several_layouts_take_that_of_the_first():
    first, *others = maps_of(2, torch.channels_last)
    maps = [first, *(x.contiguous() for x in others)]
    weight, bias = weights(maps)
    out = convolve_resized(maps, weight.contiguous(memory_format=torch.channels_last), bias, *SIZES[0])
    torch.testing.assert_close(out, plain(maps, weight, bias), rtol=1e-10, atol=1e-10)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_are_those_of_the_concatenation(layout):
    found = []
    for function in (lambda maps, weight, bias: convolve_resized(maps, weight, bias, *SIZES[0]), plain):
        maps = [x.requires_grad_() for x in maps_of(2, LAYOUTS[layout])]
        weight, bias = (item.requires_grad_() for item in weights(maps))
        function(maps, weight, bias).square().sum().backward()
        found.append([item.grad for item in (*maps, weight, bias)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_under_autocast_it_is_as_near_as_the_plain_form(layout):
    maps = maps_of(2, LAYOUTS[layout], torch.float32)
    weight, bias = weights(maps, torch.float32)
    exact = plain(maps, weight, bias)
    with torch.autocast("cpu", torch.bfloat16):
        errors = [
            (form - exact).norm() / exact.norm()
            for form in (convolve_resized(maps, weight, bias, *SIZES[0]).float(), plain(maps, weight, bias).float())
        ]
    assert errors[0] < max(2 * errors[1], 0.02)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_infinite_pixel_spreads_as_far_as_interpolation_spreads_it(layout):
    maps = maps_of(2, LAYOUTS[layout])
    weight, bias = weights(maps)
    maps[2][0, 1, 0, 0] = torch.inf
    got, wanted = convolve_resized(maps, weight, bias, *SIZES[0]), plain(maps, weight, bias)
    assert torch.equal(got.isfinite(), wanted.isfinite())
    assert 0.5 < got.isfinite().double().mean() < 1


def test_no_matrix_grows_with_the_square_of_a_long_map(monkeypatch):
    monkeypatch.setattr(resized_concat3x3, "_LONGEST", 40)
    sizes = []
    shifted = resized_concat3x3._shifted
    monkeypatch.setattr(
        resized_concat3x3, "_shifted", lambda length, *rest: sizes.append(length) or shifted(length, *rest)
    )
    maps = [torch.randn(1, 2, 8, 164), torch.randn(1, 3, 4, 41), torch.randn(1, 3, 2, 40)]
    weight = torch.randn(4, 8, 3, 3)
    got = convolve_resized(maps, weight, None, 8, 164)
    assert sizes == [40, 2]
    wanted = torch.nn.functional.conv2d(resize_concat(maps, 8, 164), weight, padding=1)
    assert torch.allclose(got, wanted, atol=1e-4)
