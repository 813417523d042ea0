"""ViTDet's pyramid: the numbers of the paper's layers, written out; names, sizes and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from smp_necks.simple_pyramid import CeilMaxPool2d, SimplePyramid, nearest_power_of_two

NOMINAL = {4: 4, 7: 8, 8: 8, 11: 8, 12: 16, 14: 16, 16: 16, 17: 16, 22: 16, 23: 32, 32: 32, 64: 64}


def rounded_up(numerator, denominator):
    return (numerator + denominator - 1) // denominator


def build(reduction=16, width=32, **arguments):
    torch.manual_seed(0)
    neck = SimplePyramid(out_channels=(width,), reductions=(reduction,), tokens=True, **{"channels": 12, **arguments})
    with torch.no_grad():
        for parameter in neck.parameters():
            parameter.copy_(torch.randn(parameter.shape) / parameter[0].numel() ** 0.5)
    return neck


def norm(x, parameters, prefix):
    x = x - x.mean(1, keepdim=True)
    x = x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt()
    weight, bias = (parameters[f"{prefix}.{name}"][:, None, None] for name in ("weight", "bias"))
    return weight * x + bias


def enlarge(x, parameters, prefix):
    return functional.conv_transpose2d(x, parameters[f"{prefix}.weight"], parameters[f"{prefix}.bias"], stride=2)


def reference(x, parameters, num_doublings):
    """The levels of a map of a reduction of 4 * 2**num_doublings."""
    levels = []
    for level in range(4):
        y, prefix, number = x, f"levels.{level}", 0
        for doubling in range(num_doublings - level):
            if doubling:
                y = functional.gelu(norm(y, parameters, f"{prefix}.scale.{number}"))
                number += 2
            y = enlarge(y, parameters, f"{prefix}.scale.{number}")
            number += 1
        for _ in range(level - num_doublings):
            y = functional.max_pool2d(y, 2, ceil_mode=True)
        y = norm(functional.conv2d(y, parameters[f"{prefix}.project.0.weight"]), parameters, f"{prefix}.project.1")
        y = functional.conv2d(y, parameters[f"{prefix}.smooth.0.weight"], padding=1)
        levels.append(norm(y, parameters, f"{prefix}.smooth.1"))
    return levels


@pytest.mark.parametrize(("reduction", "num_doublings"), [(4, 0), (8, 1), (16, 2), (32, 3), (64, 4)])
def test_numbers_are_those_of_the_papers_layers(reduction, num_doublings):
    neck, x = build(reduction, width=64).double(), torch.randn(2, 64, 5, 7, dtype=torch.float64)
    expected = reference(x, dict(neck.named_parameters()), num_doublings)
    for got, wanted in zip(neck([x]), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("reduction", "size", "nominal_size"), [(14, (8, 16), (7, 14)), (7, (8, 16), (7, 14))])
def test_other_patches_are_resampled_first(reduction, size, nominal_size):
    """At sizes where the whole map fits both grids: bilinear interpolation, and nothing else."""
    neck, x = build(reduction), torch.randn(1, 32, *size)
    plain = build(NOMINAL[reduction])
    resized = functional.interpolate(x, size=nominal_size, mode="bilinear", align_corners=False)
    for got, wanted in zip(neck([x]), plain([resized]), strict=True):
        torch.testing.assert_close(got, wanted)


@given(height=st.integers(1, 24), width=st.integers(1, 24), reduction=st.sampled_from([*NOMINAL]))
@settings(derandomize=True, max_examples=60, deadline=None)
def test_sizes(height, width, reduction):
    neck = SimplePyramid(out_channels=(16,), reductions=(reduction,), tokens=True, channels=2)
    levels = neck([torch.zeros(1, 16, height, width)])
    nominal = NOMINAL[reduction]
    for level, target in zip(levels, (4, 8, 16, 32), strict=True):
        for size, got in zip((height, width), level.shape[2:], strict=True):
            assert got == rounded_up(rounded_up(size * reduction, nominal) * nominal, target)
            assert got >= rounded_up(size * reduction, target)
        assert level.shape[1] == 2


@pytest.mark.parametrize("reduction", [*NOMINAL])
def test_the_nearest_power_of_two(reduction):
    assert nearest_power_of_two(reduction) == NOMINAL[reduction]


KEYS = {
    "levels.0.scale.0.weight": (32, 16, 2, 2),
    "levels.0.scale.0.bias": (16,),
    "levels.0.scale.1.weight": (16,),
    "levels.0.scale.1.bias": (16,),
    "levels.0.scale.3.weight": (16, 8, 2, 2),
    "levels.0.scale.3.bias": (8,),
    "levels.0.project.0.weight": (12, 8, 1, 1),
    "levels.1.scale.0.weight": (32, 16, 2, 2),
    "levels.1.scale.0.bias": (16,),
    "levels.1.project.0.weight": (12, 16, 1, 1),
    "levels.2.project.0.weight": (12, 32, 1, 1),
    "levels.3.project.0.weight": (12, 32, 1, 1),
    **{f"levels.{level}.smooth.0.weight": (12, 12, 3, 3) for level in range(4)},
    **{
        f"levels.{level}.{part}.1.{name}": (12,)
        for level in range(4)
        for part in ("project", "smooth")
        for name in ("weight", "bias")
    },
}


def test_names_and_shapes_in_checkpoints():
    assert {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()} == KEYS


@pytest.mark.parametrize(("output_stride", "kept"), [(None, 4), (32, 4), (16, 3), (8, 2), (4, 1)])
def test_levels_beyond_the_output_stride_are_not_built(output_stride, kept):
    neck = build(output_stride=output_stride)
    assert (neck.reductions, neck.out_channels) == ((4, 8, 16, 32)[:kept], (12,) * kept)
    assert len(neck([torch.randn(1, 32, 2, 2)])) == kept
    names = [name for name in KEYS if int(name.split(".")[1]) < kept]
    assert sorted(neck.state_dict()) == sorted(names)


@pytest.mark.parametrize("reduction", [8, 14, 16, 32])
@pytest.mark.parametrize("output_stride", [None, 8])
def test_gradients_reach_every_parameter_and_the_last_feature_alone(reduction, output_stride):
    torch.manual_seed(0)
    arguments = {"channels": 8, "output_stride": output_stride}
    neck = SimplePyramid(out_channels=(48, 48), reductions=(reduction,) * 2, tokens=True, **arguments)
    first, last = (torch.randn(1, 48, 4, 5, requires_grad=True) for _ in range(2))
    sum(level.pow(3).sum() for level in neck([first, last])).backward()
    assert first.grad is None
    assert last.grad.abs().min() > 0
    assert [name for name, item in neck.named_parameters() if item.grad is None or not item.grad.any()] == []


def test_channels_are_halved_down_to_eight():
    neck = SimplePyramid(out_channels=(20,), reductions=(32,), tokens=True)
    shapes = [tuple(neck.get_parameter(f"levels.0.scale.{number}.weight").shape[:2]) for number in (0, 3, 6)]
    assert shapes == [(20, 10), (10, 8), (8, 8)]
    tiny = SimplePyramid(out_channels=(6,), reductions=(16,), tokens=True)
    assert tiny.get_parameter("levels.0.scale.3.weight").shape[:2] == (6, 6)


def test_a_transformer_of_vit_b_has_the_papers_widths():
    neck = SimplePyramid(out_channels=(768,) * 12, reductions=(16,) * 12, tokens=True)
    assert neck.out_channels == (256,) * 4
    assert sum(parameter.numel() for parameter in neck.parameters()) == 5_560_000  # as the README says, in millions


@given(height=st.integers(1, 20), width=st.integers(1, 20), window=st.sampled_from([2, 4, 8]))
@settings(derandomize=True, max_examples=60, deadline=None)
def test_pooling_is_that_of_torch_which_rounds_up(height, width, window):
    x = torch.randn(1, 2, height, width)
    expected = functional.max_pool2d(x, window, ceil_mode=True)
    assert torch.equal(CeilMaxPool2d(window)(x), expected)


def test_what_is_printed():
    assert repr(CeilMaxPool2d(2)) == "CeilMaxPool2d(2)"


def test_initialisation_is_repeatable_and_of_unit_size():
    def levels():
        torch.manual_seed(3)
        neck = SimplePyramid(out_channels=(192,), reductions=(16,), tokens=True)
        return neck([torch.randn(1, 192, 8, 8)])

    for one, other in zip(levels(), levels(), strict=True):
        assert torch.equal(one, other)
        assert one.std().item() == pytest.approx(1, abs=0.05)
