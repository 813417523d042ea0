"""The inference form: the same numbers, fewer parameters, less time."""

import re
import statistics
import time

import pytest
import torch

import smp_core
from smp_core.errors import CreationError
from smp_mobileone.layers import MobileOneBlock
from smp_mobileone.merging import merged


def settled(name, **options):
    """An encoder in evaluation mode whose batch norms have statistics that count, its training ones."""
    torch.manual_seed(0)
    encoder = smp_core.create_encoder(name, weights=None, **options)
    for layer in encoder.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.uniform_(layer.bias, -0.1, 0.1)
    with torch.no_grad():
        for _ in range(3):
            encoder(torch.randn(2, encoder.in_channels, 64, 64))
    return encoder.eval()


def num_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def assert_equal(one, other, x):
    for expected, got in zip(one(x), other(x), strict=True):
        assert (got - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("options", [{}, {"output_stride": 8}, {"depth": 3, "in_channels": 4}], ids=str)
@pytest.mark.parametrize("name", ["mobileone_s0", "mobileone_s4"])
def test_the_merged_form_has_the_same_numbers(name, options):
    encoder = settled(name, **options)
    assert_equal(encoder, encoder.merged(), torch.randn(2, encoder.in_channels, 64, 96))


def test_in_float64_the_difference_is_rounding():
    encoder = settled("mobileone_s0").double()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        for expected, got in zip(encoder(x), encoder.merged()(x), strict=True):
            assert (got - expected).abs().max() <= 1e-11 * expected.abs().max()


@pytest.mark.parametrize(("name", "most"), [("mobileone_s0", 0.25), ("mobileone_s1", 0.99), ("mobileone_s4", 0.995)])
def test_it_has_fewer_parameters_and_no_branches(name, most):
    encoder = settled(name)
    small = encoder.merged()
    assert num_parameters(small) <= most * num_parameters(encoder)
    kinds = {type(layer) for layer in small.modules()}
    assert kinds.isdisjoint({MobileOneBlock, torch.nn.BatchNorm2d})


def test_it_is_faster():
    encoder = settled("mobileone_s0")
    small, x = encoder.merged(), torch.randn(1, 3, 128, 128)
    seconds = {encoder: [], small: []}
    with torch.inference_mode():
        for _ in range(7):
            for module, taken in seconds.items():
                start = time.process_time()
                module(x)
                taken.append(time.process_time() - start)
    assert statistics.median(seconds[small]) < 0.7 * statistics.median(seconds[encoder])


def test_it_is_a_copy_in_evaluation_mode():
    encoder = settled("mobileone_s4")
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    small = encoder.merged()
    assert not any(module.training for module in small.modules())
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert (small.out_channels, small.reductions) == (encoder.out_channels, encoder.reductions)


def test_merging_twice_changes_nothing():
    once = settled("mobileone_s1").merged()
    assert_equal(once, once.merged(), torch.randn(1, 3, 64, 64))


def test_a_module_in_training_mode_is_refused():
    encoder = settled("mobileone_s1").train()
    with pytest.raises(CreationError, match=r"is in training mode, .*; call \.eval\(\) first"):
        encoder.merged()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda block: setattr(block, "rbr_skip", torch.nn.Identity()), "rbr_skip"),
        (lambda block: setattr(block.rbr_conv[0].conv, "padding_mode", "circular"), "rbr_conv.0.conv"),
        (lambda block: setattr(block.rbr_conv[0].conv, "bias", torch.nn.Parameter(torch.ones(48))), "rbr_conv.0.conv"),
        (lambda block: setattr(block.rbr_conv[0], "bn", torch.nn.GroupNorm(1, 48)), "rbr_conv.0.bn"),
        (lambda block: setattr(block, "rbr_scale", torch.nn.Sequential(block.rbr_scale)), "rbr_scale"),
        (lambda block: block.rbr_conv[0].register_forward_hook(lambda *_: None), "rbr_conv.0"),
    ],
)
def test_what_was_changed_is_not_merged(change, named):
    encoder = smp_core.create_encoder("mobileone_s0", weights=None).eval()
    block = next(part for part in encoder.modules() if isinstance(part, MobileOneBlock) and part.rbr_skip is not None)
    change(block)
    message = f"merges branches of plain convolutions and batch norms, and {named} was replaced, wrapped, hooked or"
    with pytest.raises(CreationError, match=re.escape(message)):
        merged(encoder)


def test_another_activation_is_kept():
    encoder = smp_core.create_encoder("mobileone_s0", weights=None).double().eval()
    for part in encoder.modules():
        if isinstance(part, MobileOneBlock):
            part.activation = torch.nn.GELU()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for found, expected in zip(merged(encoder)(x), encoder(x), strict=True):
            torch.testing.assert_close(found, expected)


def test_a_module_that_holds_the_encoder_is_merged_as_a_whole():
    model = torch.nn.ModuleDict({"encoder": settled("mobileone_s1"), "head": torch.nn.Conv2d(1280, 2, 1)}).eval()
    small = merged(model)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in small.modules())
    assert_equal(model["encoder"], small["encoder"], torch.randn(1, 3, 64, 64))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("name", "depth"), [("mobileone_s0", 2), pytest.param("mobileone_s4", 4, marks=pytest.mark.slow)]
)
def test_it_is_scripted_and_exported(name, depth):
    small, x = settled(name, depth=depth).merged(), torch.randn(2, 3, 64, 64)
    assert_equal(small, torch.jit.script(small), x)
    assert_equal(small, torch.export.export(small, (x,)).module(), x)
