"""The skips of an inference form's decoder, convolved each by its part of one weight."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from settled import furthest
from torch import Tensor, nn
from torch.nn import functional

import smp_core
from smp_core.layers import use_form
from smp_core.layers.known_parts import KnownParts


def image(*shape: int) -> Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last)


def parameters() -> tuple[nn.Parameter, nn.Parameter]:
    return nn.Parameter(image(128, 200, 3, 3) / 40, requires_grad=False), nn.Parameter(torch.ones(128), False)


def part(x: Tensor, weight: Tensor, start: int, bias: Tensor | None) -> Tensor:
    return functional.conv2d(x, weight[:, start : start + x.shape[1]], bias, padding=1)


@pytest.mark.parametrize("again", [lambda made: made, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
@torch.no_grad()
def test_each_part_is_its_convolution(again: Callable[[KnownParts], KnownParts]) -> None:
    made, (weight, bias) = KnownParts(), parameters()
    for x, start, added in ((image(1, 128, 24, 24), 72, bias), (image(2, 8, 5, 3), 64, None)):
        for parts in (made, again(made)):
            found = parts.convolve(x, weight, start, added)
            torch.testing.assert_close(found, part(x, weight, start, added), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_another_weight_is_followed() -> None:
    made, (weight, bias), x = KnownParts(), parameters(), image(1, 128, 24, 24)
    for change in (lambda: None, lambda: weight.data.mul_(2), lambda: bias.data.add_(3), lambda: bias.mul_(2)):
        change()
        torch.testing.assert_close(made.convolve(x, weight, 72, bias), part(x, weight, 72, bias), rtol=1e-4, atol=1e-3)
    weight, bias = parameters()
    torch.testing.assert_close(made.convolve(x, weight, 72, bias), part(x, weight, 72, bias), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("architecture", ["unet", "unetplusplus"])
@torch.no_grad()
def test_an_optimized_decoder_takes_the_forms(monkeypatch: pytest.MonkeyPatch, architecture: str) -> None:
    torch.manual_seed(0)
    model = smp_core.create(architecture, "resnet18", encoder_weights=None).eval()
    fast, x = smp_core.optimize(model), image(1, 3, 256, 256)
    with use_form("known_conv3x3", "plain"):
        expected = fast(x)
    taken: list[int] = []
    convolve = KnownParts.convolve

    def counting(self: KnownParts, *given: object) -> Tensor:
        taken.append(1)
        return convolve(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(KnownParts, "convolve", counting)
    assert furthest(fast(x), expected) < 1e-4
    assert taken
    assert furthest(fast(x), model(x)) < 1e-4
    for block in fast.model.modules():
        if hasattr(block, "conv1") and isinstance(block.conv1, nn.Sequential):
            block.conv1[0].bias.data.mul_(2)
            block.conv1[0].weight.data.mul_(2)
    with use_form("known_upsample_conv3x3", "plain"), use_form("upsample_conv3x3", "plain"):
        expected = fast(x)
    assert furthest(fast(x), expected) < 1e-4


def test_with_gradients_and_in_double_it_is_the_plain_one() -> None:
    torch.manual_seed(0)
    model = smp_core.create("unet", "resnet18", encoder_weights=None).double().eval()
    x = image(1, 3, 64, 96).double()
    with torch.no_grad():
        assert furthest(smp_core.optimize(model)(x), model(x)) < 1e-11
