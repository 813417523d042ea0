"""Activations that are recomputed: exactly the same numbers for less memory."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from toy_models import ToyModel, ToyNeck
from training_steps import Block, BlockEncoder, X, assert_same_state, assert_same_step, kept, pair, step

from smp_core.encoder import EncoderBase, EncoderWithNeck
from smp_core.errors import OptionError
from smp_core.layers.recomputing import blocks_of, is_recomputed, recompute, start_recomputing, stop_recomputing

# --- the same numbers


@pytest.mark.parametrize("norm", [{}, {"momentum": None}, {"track_running_stats": False}, {"affine": False}], ids=str)
def test_steps_are_exactly_the_same(norm: dict[str, Any]) -> None:
    plain, other = pair(BlockEncoder(**norm))
    for _ in range(3):
        assert_same_step(plain, other)


class WritesIntoList(nn.Module):
    """A block that changes the list that it is given, as those of HRNet do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps[0] = torch.tanh(self.norm(self.conv(maps[0])))
        return maps


class ListEncoder(BlockEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(WritesIntoList(), WritesIntoList())

    def forward(self, x: Tensor) -> list[Tensor]:
        first = self.stage1([self.stem(x)])[0]
        return [x, first, self.stage2[2](self.stage2[1](self.stage2[0](first)), scale=0.5)]


def test_what_a_block_writes_into_a_list_is_not_there_when_it_runs_again() -> None:
    plain, other = pair(ListEncoder())
    assert_same_step(plain, other)


@given(st.lists(st.sampled_from(["on", "off", "train", "eval", "freeze", "thaw", "step"]), max_size=8))
def test_steps_are_the_same_whatever_is_switched_between(actions: list[str]) -> None:
    plain, other = pair()
    for action in [*actions, "step"]:
        for model in (plain, other):
            if action in ("train", "eval"):
                model.train(action == "train")
            elif action == "freeze":
                model.freeze_encoder(1)
            elif action == "thaw":
                model.unfreeze_encoder()
            elif action == "step":
                step(model)
            elif model is other:
                model.set_gradient_checkpointing(action == "on")
        assert_same_state(plain, other)
        assert [module.training for module in plain.modules()] == [module.training for module in other.modules()]


def test_with_autocast() -> None:
    plain, other = pair()

    def call(model: nn.Module, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return model(x).float()

    assert_same_step(plain, other, call)


def test_backward_twice() -> None:
    plain, other = pair()
    for model in (plain, other):
        torch.manual_seed(0)
        loss = model(X).square().mean()
        loss.backward(retain_graph=True)
        loss.backward()
    assert_same_state(plain, other)


def test_gradients_of_gradients() -> None:
    plain, other = pair()
    for model in (plain, other):
        torch.manual_seed(0)
        x = X.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(x).square().mean(), x, create_graph=True)
        gradient.square().sum().backward()
    assert_same_state(plain, other)


def test_several_forward_passes_before_the_backward_pass() -> None:
    plain, other = pair()
    for model in (plain, other):
        torch.manual_seed(0)
        sum(model(X * factor).square().mean() for factor in (1, 2, 3)).backward()
    assert_same_state(plain, other)


def test_parameters_of_a_functional_call_are_those_of_the_second_run() -> None:
    plain, other = pair()
    gradients = []
    for model in (plain, other):
        torch.manual_seed(0)
        given = {name: (value.detach() * 0.5).requires_grad_() for name, value in model.named_parameters()}
        torch.func.functional_call(model, given, (X,)).square().mean().backward()
        gradients.append([value.grad for value in given.values()])
    for one, two in zip(*gradients, strict=True):
        assert torch.equal(one, two)
    assert_same_state(plain, other)


def test_a_mode_that_changes_before_the_backward_pass() -> None:
    plain, other = pair()
    for model in (plain, other):
        torch.manual_seed(0)
        loss = model(X).square().mean()
        model.eval()
        model.predict(X)
        loss.backward()
        assert not any(module.training for module in model.modules())
    assert_same_state(plain, other)


def test_an_error_in_the_second_run_leaves_the_modules_as_they_were() -> None:
    _, model = pair()
    torch.manual_seed(0)
    loss = model(X).square().mean()
    buffers = {name: id(buffer) for name, buffer in model.named_buffers()}
    block = model.encoder.stage2[2]
    block.relu.forward = lambda x: 1 / 0
    with pytest.raises(ZeroDivisionError):
        loss.backward()
    assert {name: id(buffer) for name, buffer in model.named_buffers()} == buffers


def test_over_a_neck() -> None:
    encoder = BlockEncoder()
    neck = ToyNeck(out_channels=encoder.out_channels, reductions=encoder.reductions, tokens=False)
    plain, other = pair(EncoderWithNeck(encoder, neck))
    assert_same_step(plain, other)
    assert kept(other) < kept(plain)
    assert not any(is_recomputed(module) for module in other.encoder.neck.modules())


# --- less memory


def test_less_is_kept_in_training_alone() -> None:
    plain, other = pair()
    assert kept(other) < 0.6 * kept(plain)
    plain.eval()
    other.eval()
    assert kept(other) == kept(plain)
    with torch.no_grad():
        assert kept(other.train()) == 0


def test_switched_off_everything_is_as_it_was() -> None:
    model = ToyModel(BlockEncoder())
    block = model.encoder.stage2[2]

    def own(x: Tensor, scale: float) -> Tensor:
        return x * scale

    block.forward = own
    before = {name: dict(module.__dict__) for name, module in model.named_modules()}
    for _ in range(2):
        model.set_gradient_checkpointing()
        model.set_gradient_checkpointing(True)
        assert is_recomputed(block)
        assert torch.equal(block(X, scale=2), X * 2)
    model.set_gradient_checkpointing(False)
    model.set_gradient_checkpointing(False)
    assert {name: dict(module.__dict__) for name, module in model.named_modules()} == before
    assert block.forward is own


def test_which_modules_are_recomputed() -> None:
    block = Block(4)
    sequence = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
    patched = nn.Sequential(Block(4))
    patched.forward = lambda x: x  # whatever it calls
    tree = nn.ModuleList([nn.Sequential(nn.Sequential(block), sequence), nn.Conv2d(4, 4, 1), patched])
    assert list(blocks_of(tree)) == [block, sequence, patched]
    # One layer keeps little else than its input; a list calls nothing.
    for alone in (nn.Conv2d(4, 4, 1), nn.Sequential(nn.Conv2d(4, 4, 1)), nn.ModuleList([nn.ReLU(), nn.ReLU()])):
        assert list(blocks_of(alone)) == []
    start_recomputing([sequence])
    assert list(blocks_of(tree)) == [block, sequence, patched]
    stop_recomputing(tree)


# --- an encoder's own way


class Flat(BlockEncoder):
    """An encoder whose stages are single layers, which recomputes stretches of them by itself."""

    def __init__(self) -> None:
        EncoderBase.__init__(self, out_channels=(3, 8, 8), reductions=(1, 2, 4), depth=2)
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(True)),
            *(nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(True)),
        )
        self.recomputes = False

    def stage_modules(self) -> list[list[str]]:
        return self.stages_of_list("layers", [2, 5, 8])

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x]
        for start in (0, 3):
            stage = self.layers[start : start + 3]
            features.append(recompute(stage, features[-1]) if self.recomputes else stage(features[-1]))
        return features


class OwnWay(Flat):
    def set_gradient_checkpointing(self, enabled: bool) -> None:
        self.recomputes = enabled


def test_an_encoder_may_recompute_in_its_own_way() -> None:
    plain, other = pair(OwnWay())
    assert other.encoder.recomputes
    assert kept(other) < kept(plain)
    assert_same_step(plain, other)
    other.set_gradient_checkpointing(False)
    assert not other.encoder.recomputes
    assert not any(is_recomputed(module) for module in other.modules())


def test_where_there_are_no_blocks_the_error_says_what_to_do() -> None:
    message = (
        "Flat has no blocks to recompute: its stages are single layers; give it a method "
        "set_gradient_checkpointing(enabled: bool), which lets forward run stretches of them by "
        "smp_core.layers.recomputing.recompute"
    )
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        ToyModel(Flat()).set_gradient_checkpointing()


def test_stages_of_a_list() -> None:
    assert Flat().stage_modules() == [
        ["layers.0", "layers.1", "layers.2"],
        ["layers.3", "layers.4", "layers.5"],
    ]
