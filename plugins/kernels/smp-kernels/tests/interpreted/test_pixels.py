"""The losses by the kernels against the losses by torch's operations, of logits of any dtype and layout."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smp_losses
from smp_kernels import launching, pixels
from smp_kernels.pixels import focal_sums, softmax_sums
from smp_losses.kernels import use_kernels

IGNORED = 255
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "dice": lambda: smp_losses.DiceLoss("multiclass", ignore_index=IGNORED),
    "dice of some": lambda: smp_losses.DiceLoss("multiclass", classes=[0, 2], log_loss=True, smooth=0.5),
    "jaccard": lambda: smp_losses.JaccardLoss("multiclass", class_weights=[1.0, 2.0, 3.0], ignore_index=IGNORED),
    "tversky": lambda: smp_losses.TverskyLoss("multiclass", alpha=0.3, beta=0.7, gamma=0.75, ignore_index=IGNORED),
    "focal": lambda: smp_losses.FocalLoss("multiclass", ignore_index=IGNORED),
    "focal with alpha": lambda: smp_losses.FocalLoss("multiclass", alpha=0.3, gamma=0.5),
    "focal reduced": lambda: smp_losses.FocalLoss("multiclass", reduced_threshold=0.4, class_weights=[1.0, 2.0, 3.0]),
    "focal, sums": lambda: smp_losses.FocalLoss(
        "multiclass", gamma=0.0, reduction="batchwise_mean", ignore_index=IGNORED
    ),
}
BOUNDS = {torch.float64: 1e-13, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True)
def no_failures() -> Any:
    launching._failed.clear()
    yield
    assert launching._failed == set()


def labelled(
    dtype: torch.dtype, shape: tuple[int, int, int, int] = (2, 3, 7, 11), ignored: bool = True
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    y = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    if ignored:
        where = torch.rand(y.shape, generator=generator) < 0.3
        y[where] = IGNORED
        x.masked_fill_(where.unsqueeze(1), torch.nan)
    return x.to(dtype), y


def value_and_gradient(loss: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    value = loss(x, y)
    (gradient,) = torch.autograd.grad(value, x)
    return value.detach(), gradient


@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_equal_those_without_kernels(name: str, dtype: torch.dtype) -> None:
    loss = LOSSES[name]()
    x, y = labelled(dtype, ignored=loss.ignore_index is not None)
    with use_kernels(False):
        expected, slope = value_and_gradient(loss, x.double(), y)
    with use_kernels(True), torch.profiler.profile() as profile:
        got, gradient = value_and_gradient(loss, x, y)
    assert any(event.name in ("_RegionSums", "_FocalSums") for event in profile.events())
    assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert gradient.dtype == dtype
    assert float((got.double() - expected).abs()) <= BOUNDS[dtype] * max(1.0, float(expected))
    assert float((gradient.double() - slope).abs().max()) <= BOUNDS[dtype] * float(slope.abs().max())


@pytest.mark.parametrize("name", ["dice", "focal"])
def test_layouts_views_and_sizes(name: str) -> None:
    loss = LOSSES[name]()
    for shape in ((1, 3, 1, 1), (3, 3, 16, 20)):  # less than a block, and several programs
        x, y = labelled(torch.float64, shape)
        with use_kernels(False):
            expected, slope = value_and_gradient(loss, x, y)
        wide = torch.full((2 * shape[0], 5, shape[2], shape[3] + 3), 7.0, dtype=torch.float64)
        wide[::2, 1:4, :, 2 : 2 + shape[3]] = x
        for view in (x, x.contiguous(memory_format=torch.channels_last), wide[::2, 1:4, :, 2 : 2 + shape[3]]):
            with use_kernels(True):
                got, gradient = value_and_gradient(loss, view, y.to(torch.uint8))
            torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-14)
            torch.testing.assert_close(gradient, slope, rtol=1e-11, atol=1e-14)


def test_nothing_of_the_size_of_the_scores_is_kept() -> None:
    for name in ("dice", "focal"):
        x, y = labelled(torch.bfloat16)
        x.requires_grad_()
        kept: list[Tensor] = []

        def keep(tensor: Tensor, kept: list[Tensor] = kept) -> Tensor:
            kept.append(tensor)
            return tensor

        with use_kernels(True), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            LOSSES[name]()(x, y)
        large = [item for item in kept if item.numel() >= x.numel()]
        assert [item.data_ptr() for item in large] == [x.data_ptr()]


@pytest.mark.parametrize("name", ["dice", "focal"])
def test_second_derivatives(name: str) -> None:
    loss = LOSSES[name]()
    x, y = labelled(torch.float64, (1, 3, 2, 3))
    found = []
    for wanted in (False, True):
        leaf = x.clone().requires_grad_()
        with use_kernels(wanted):
            (first,) = torch.autograd.grad(loss(leaf, y), leaf, create_graph=True)
            (second,) = torch.autograd.grad(first.square().sum(), leaf)
        found.append(second)
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "run", [softmax_sums, lambda *given: focal_sums(*given, 0.25, 2.0, None)], ids=["soft", "focal"]
)
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_beyond_the_classes_is_no_silent_zero(run: Any, label: int) -> None:
    x, y = torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2, label]])
    valid = torch.tensor([[True, True, True, False]])
    run(x, y.masked_fill(~valid, label), valid)
    with pytest.raises(RuntimeError, match=r"^Expected Tensor with single nonzero value, but got zero"):
        run(x, y, None)


def test_more_classes_than_a_program_holds() -> None:
    generator = torch.Generator().manual_seed(0)
    count = pixels.MAX_CLASSES + 1
    x = torch.randn(1, count, 5, generator=generator, dtype=torch.float64).requires_grad_()
    y = torch.randint(0, count, (1, 5), generator=generator)
    both, predicted, found = softmax_sums(x, y, None)
    probability = x.softmax(1)
    torch.testing.assert_close(predicted, probability.sum((0, 2)))
    torch.testing.assert_close(both.sum(), probability.gather(1, y.unsqueeze(1)).sum())
    assert torch.equal(found, torch.bincount(y[0], minlength=count).double())
    assert focal_sums(x, y, None, 0.25, 2.0, None).shape == (count,)


def test_a_kernel_that_fails_gives_way_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such instruction")

    for name in ("dice", "focal reduced", "focal with alpha"):
        loss = LOSSES[name]()
        x, y = labelled(torch.float64, ignored=name == "dice")
        with use_kernels(False):
            expected, slope = value_and_gradient(loss, x, y)
        launching._failed.clear()
        monkeypatch.setattr(pixels, "launch", broken)
        which = "softmax_sums" if name == "dice" else "focal_sums"
        with use_kernels(True), pytest.warns(RuntimeWarning) as told:
            got, gradient = value_and_gradient(loss, x, y)
        assert [str(item.message).split(", and")[0] for item in told] == [
            f"smp-kernels: the kernel of {name} failed (RuntimeError: no such instruction)"
            for name in (which, f"the gradient of {which}")
        ]
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)
        torch.testing.assert_close(gradient, slope, rtol=1e-10, atol=1e-14)
        assert len(launching._failed) == 2
    launching._failed.clear()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"scores": torch.zeros(1, 3, 2, 2)},
            "expected floating-point scores (N, C, P); got torch.float32 of shape (1, 3, 2, 2)",
        ),
        (
            {"scores": torch.zeros(1, 3, 4).long()},
            "expected floating-point scores (N, C, P); got torch.int64 of shape (1, 3, 4)",
        ),
        (
            {"target": torch.zeros(1, 3).long()},
            "expected target as torch.int64 of shape (1, 4) on cpu, for scores of shape (1, 3, 4); got torch.int64 of "
            "shape (1, 3) on cpu",
        ),
        (
            {"target": torch.zeros(1, 4)},
            "expected target as torch.int64 of shape (1, 4) on cpu, for scores of shape (1, 3, 4); got torch.float32 "
            "of shape (1, 4) on cpu",
        ),
        (
            {"valid": torch.ones(2, 4, dtype=torch.bool)},
            "expected valid as torch.bool of shape (1, 4) on cpu, for scores of shape (1, 3, 4); got torch.bool of "
            "shape (2, 4) on cpu",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_read_nowhere(changed: dict[str, Tensor], message: str) -> None:
    items = {"scores": torch.zeros(1, 3, 4), "target": torch.zeros(1, 4).long(), "valid": None, **changed}
    with pytest.raises(RuntimeError, match=f"^{re.escape('softmax_sums: ' + message)}$"):
        softmax_sums(**items)
    with pytest.raises(RuntimeError, match=f"^{re.escape('focal_sums: ' + message)}$"):
        focal_sums(**items, alpha=None, gamma=2.0, threshold=None)
