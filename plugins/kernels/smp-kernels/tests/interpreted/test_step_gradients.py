"""The gradient of the decoder step, and what torch's own tools say of the operator."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from step_reference import assert_close, given, plain
from torch import Tensor

from smp_kernels import launching
from smp_kernels.step import decoder_step

CASES = [((2, 3, 4), (4, 6)), ((2, 3, 2), (5, 3)), ((3, 0, 2), (2, 4)), ((0, 3, 2), (3, 3))]


def leaves(channels: tuple[int, int, int], size: tuple[int, int], dtype: torch.dtype = torch.float64) -> list[Any]:
    return [None if item is None else item.requires_grad_() for item in given(channels, size, dtype)]


@pytest.mark.parametrize(("channels", "size"), CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_gradients_equal_those_of_the_plain_form(
    channels: tuple[int, int, int], size: tuple[int, int], dtype: torch.dtype
) -> None:
    launching._failed.clear()
    items = leaves(channels, size, dtype)
    wanted = [item for item in items if item is not None]
    out, expected = decoder_step(*items, *size, True), plain(*items, relu=True)
    towards = torch.randn(out.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(dtype)
    got = torch.autograd.grad(out, wanted, towards)
    for a, b in zip(got, torch.autograd.grad(expected, wanted, towards), strict=True):
        assert_close(a, b, 1e-13 if dtype == torch.float64 else 1e-5)
    assert launching._failed == set()


def test_gradients_are_derivatives() -> None:
    size = (2, 2)
    launching._failed.clear()

    def run(*inputs: Tensor) -> Tensor:
        return decoder_step(*inputs, *size, False)

    assert torch.autograd.gradcheck(run, leaves((1, 1, 1), size), fast_mode=True)
    assert launching._failed == set()


@pytest.mark.parametrize("size", [(4, 6), (5, 3)])
def test_second_derivatives_equal_those_of_the_plain_form(size: tuple[int, int]) -> None:
    items = leaves((2, 3, 4), size)
    found = []
    for out in (decoder_step(*items, *size, True), plain(*items, relu=True)):
        first = torch.autograd.grad(out.square().sum(), items, create_graph=True)
        total = sum(item.square().sum() for item in first)
        found.append(torch.autograd.grad(total, items))
    for a, b in zip(*found, strict=True):
        assert_close(a, b, 1e-12)


def test_only_what_is_wanted_gets_a_gradient() -> None:
    x, skip, weight, _ = leaves((2, 3, 4), (4, 6))
    weight.requires_grad_(False)
    decoder_step(x, skip.detach(), weight, None, 4, 6, True).sum().backward()
    assert x.grad is not None
    assert weight.grad is None


def test_what_is_kept_for_backward_has_no_larger_map() -> None:
    items = leaves((2, 3, 4), (4, 6))
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        decoder_step(*items, 4, 6, False)
    # The small map, the skip and the weight.
    assert sorted(tuple(item.shape) for item in kept) == [(1, 2, 2, 3), (1, 3, 4, 6), (4, 5, 3, 3)]


# Of torch's own checks, which look at the gradients of what they made.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_torchs_own_checks_of_the_operator() -> None:
    size = (4, 6)
    x, skip, weight, bias = leaves((2, 3, 4), size)
    arguments = (x, skip, weight, bias, None, *size, True)
    found = torch.library.opcheck(torch.ops.smp_kernels.decoder_step.default, arguments)
    assert set(found.values()) == {"SUCCESS"}


def test_compiled_for_training_and_exported_with_any_size() -> None:
    launching._failed.clear()
    x, skip, weight, _ = leaves((2, 3, 4), (4, 6))

    class Step(torch.nn.Module):
        def forward(self, x: Tensor, skip: Tensor, weight: Tensor) -> Tensor:
            return decoder_step(x, skip, weight, None, skip.shape[2], skip.shape[3], True)

    expected = plain(x, skip, weight, None, relu=True)
    compiled = torch.compile(Step(), backend="aot_eager", fullgraph=True, dynamic=True)
    assert_close(compiled(x, skip, weight), expected, 1e-14)
    wanted = [x, skip, weight]
    got = torch.autograd.grad(compiled(x, skip, weight).square().sum(), wanted)
    for a, b in zip(got, torch.autograd.grad(expected.square().sum(), wanted), strict=True):
        assert_close(a, b, 1e-13)
    half = torch.export.Dim("half", min=2, max=64)
    shapes = {"x": {2: half}, "skip": {2: 2 * half}, "weight": {}}
    exported = torch.export.export(Step(), (x, skip, weight), dynamic_shapes=shapes)
    assert any("smp_kernels.decoder_step" in str(node.target) for node in exported.graph.nodes)
    other_x, other_skip, _, _ = given((2, 3, 4), (8, 6))
    assert other_x is not None
    got_exported = exported.module()(other_x, other_skip, weight)
    assert_close(got_exported, plain(other_x, other_skip, weight, None, relu=True), 1e-14)
    assert launching._failed == set()
