"""Kernels of inference forms are used for the very weight that they were made of, however that was changed."""

import copy
from contextlib import ExitStack

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

import smp_core
from smp_core.layers import use_form
from smp_core.layers.known_conv import KnownConv2d, with_kernels
from smp_core.layers.made_of import MadeOf


@pytest.fixture
def fast():
    torch.manual_seed(0)
    return smp_core.optimize(smp_core.create("unet", "resnet18", encoder_weights=None, classes=3))


def image(size=64):
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))


def plain(fast, x):
    with ExitStack() as forms:
        for layer in ("known_conv3x3", "upsample_conv3x3", "known_upsample_conv3x3"):
            forms.enter_context(use_form(layer, "plain"))
        return fast(x)


def far(got, wanted):
    return ((got - wanted).abs().max() / wanted.abs().max()).item()


def scaled_by_data(fast):
    for parameter in fast.parameters():
        parameter.data.mul_(0.9)


def scaled_by_numpy(fast):
    for parameter in fast.parameters():
        parameter.numpy()[...] *= 0.9


def rounded(fast):
    fast.to(torch.bfloat16).float()


def from_a_vector(fast):
    parameters = list(fast.parameters())
    nn.utils.vector_to_parameters(0.9 * torch.cat([item.flatten() for item in parameters]), parameters)


def a_filter_is_cleared(fast):
    for part in fast.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data[part.out_channels // 2] = 0


def known_parts(fast):
    return [*(part for part in fast.modules() if isinstance(part, KnownConv2d)), fast.model.decoder.blocks[0].conv1[0]]


class Twice(nn.Module):
    def forward(self, weight):
        return 2 * weight


def parametrised(fast):
    for part in known_parts(fast):
        parametrize.register_parametrization(part, "weight", Twice())


def pruned(fast):
    for part in known_parts(fast):
        prune.custom_from_mask(part, "weight", (torch.arange(part.weight.numel()) % 3 > 0).view_as(part.weight))


def replaced(fast):
    fast.model.decoder.blocks[0].conv1 = nn.Conv2d(768, 256, 3, padding=1).eval().requires_grad_(False)


CHANGES = [
    *(scaled_by_data, scaled_by_numpy, rounded, from_a_vector, a_filter_is_cleared),
    *(parametrised, pruned, replaced),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [64, 224])
def test_the_weight_as_it_is_now_counts(fast, change, size):
    torch.manual_seed(0)
    before = fast(image(size))
    change(fast)
    wanted = plain(fast, image(size))
    assert far(before, wanted) > 1e-3
    assert far(fast(image(size)), wanted) < 5e-5
    if change not in (parametrised, pruned):
        assert far(copy.deepcopy(fast)(image(size)), wanted) < 5e-5


def test_a_kernel_goes_along_with_its_weight(fast):
    blocks = fast.model.decoder.blocks
    for form in (fast.to(torch.bfloat16), fast.float(), fast.double(), fast.to(memory_format=torch.contiguous_format)):
        assert form is fast
        assert all(block.known_kernel() is not None for block in blocks)


@pytest.mark.parametrize("compiler", ["compile", "script"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_compiled_and_scripted_forms_have_the_weights_of_the_module(fast, compiler, when):
    def made():
        return torch.jit.script(fast) if compiler == "script" else torch.compile(fast, backend="eager")

    form, before = made(), fast(image())
    if when == "before":
        form(image())
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter.mul_(0.9)
    wanted = fast(image())
    assert far(before, wanted) > 1e-3
    assert far((form if when == "before" else made())(image()), wanted) < 5e-5


@pytest.mark.parametrize("shape", [(1, 16, 3, 3), (4, 512, 3, 3), (512, 512, 3, 3), (512, 1, 3, 3), (1024, 1, 3, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_every_output_channel_is_looked_at(shape, layout):
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(*shape).contiguous(memory_format=layout), requires_grad=False)
    made = MadeOf(weight)
    assert made.is_still(weight)
    assert not made.is_still(None)
    assert not made.is_still(weight.clone())
    for channel in range(0, shape[0], max(1, shape[0] // 16)):
        kept = weight.data[channel].clone()
        weight.data[channel] += 1
        assert not made.is_still(weight)
        weight.data[channel] = kept
        assert made.is_still(weight)
    weight.add_(0)
    assert not made.is_still(weight)


@pytest.mark.parametrize("form", ["winograd_2x2", "winograd_4x4", "taps"])
def test_no_image_at_all(fast, form):
    with use_form("known_conv3x3", form):
        assert fast(torch.rand(0, 3, 224, 224)).shape == (0, 3, 224, 224)


def test_what_is_prepared_looks_again_at_each_call():
    torch.manual_seed(0)
    conv = nn.Conv2d(128, 128, 3, padding=1).requires_grad_(False).to(memory_format=torch.channels_last)
    made = with_kernels(nn.Sequential(conv))[0]
    x = torch.randn(1, 128, 24, 24).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        before = made(x)
        made.weight.data.neg_()
        torch.testing.assert_close(made(x) - made.bias[:, None, None], made.bias[:, None, None] - before)
        made.weight.data.neg_()
        assert torch.equal(made(x), before)
