"""A model whose blocks hold all that could differ when they run twice, and training steps of it to compare."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from toy_models import ToyModel, assert_same, randomise

from smp_core.encoder import EncoderBase

X = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """A block with everything that could differ when it runs again: statistics, dropout, layers that write in place."""

    def __init__(self, channels: int, **norm: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels, **norm)
        self.instance = nn.InstanceNorm2d(channels, track_running_stats=True)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.3)

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        out: Tensor = self.dropout(self.relu(self.norm(self.conv(x))))
        return self.instance(out + x) * scale


class BlockEncoder(EncoderBase):
    """Two stages of blocks; one block is used twice, one lies in containers, and one is called with a keyword."""

    def __init__(self, **norm: Any) -> None:
        super().__init__(out_channels=(3, 8, 8), reductions=(1, 2, 4), depth=2)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        shared = Block(8, **norm)
        self.stage1 = nn.Sequential(shared, shared)
        self.stage2 = nn.ModuleList([nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.Sequential(Block(8)), Block(8)])

    def stage_modules(self) -> list[list[str]]:
        return [["stem", "stage1"], ["stage2"]]

    def forward(self, x: Tensor) -> list[Tensor]:
        first = self.stage1(self.stem(x))
        second = self.stage2[1](self.stage2[0](first))
        return [x, first, self.stage2[2](second, scale=0.5)]


def pair(encoder: nn.Module | None = None) -> tuple[ToyModel, ToyModel]:
    """The same model twice, the second of which recomputes."""
    plain = ToyModel(BlockEncoder() if encoder is None else encoder)
    randomise(plain)
    other = copy.deepcopy(plain)
    other.set_gradient_checkpointing(True)
    return plain, other


Call = Callable[[nn.Module, Tensor], Tensor]


def step(model: nn.Module, call: Call = lambda model, x: model(x), seed: int = 1) -> Tensor:
    """A forward and a backward pass; gradients add up."""
    torch.manual_seed(seed)
    out = call(model, X)
    out.square().mean().backward()
    return out


def assert_same_step(plain: nn.Module, other: nn.Module, call: Call = lambda model, x: model(x)) -> None:
    assert torch.equal(step(plain, call), step(other, call))
    assert_same_state(plain, other)


def assert_same_state(plain: nn.Module, other: nn.Module) -> None:
    assert_same(other, plain)
    for (name, one), two in zip(plain.named_parameters(), other.parameters(), strict=True):
        assert (one.grad is None) is (two.grad is None), name
        assert one.grad is None or torch.equal(one.grad, two.grad), name


def kept(model: nn.Module, call: Call = lambda model, x: model(x)) -> int:
    """Bytes that are kept for the backward pass."""
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        call(model, X)
    return sum(found.values())
