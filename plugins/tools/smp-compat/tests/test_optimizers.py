"""An optimizer's state by the numbers of parameters that are others here."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smp_compat as smp
from smp_core.errors import CheckpointError

IMAGE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


class Padded(nn.Module):
    """A model with parameters that nothing runs, as segmentation_models_pytorch's have them: a stand-in for one."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.unused = nn.Linear(3, 2)
        for name, child in model.encoder.named_children():
            self.encoder.add_module(name, child)
        self.encoder.layer9 = nn.BatchNorm2d(4)
        self.decoder, self.segmentation_head = model.decoder, model.segmentation_head


def trained(model: nn.Module, parameters: Any, padded: nn.Module) -> dict[str, Any]:
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    model(IMAGE).sum().backward()
    for parameter in padded.parameters():
        if parameter.grad is None:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer.state_dict()


def by_name(state: dict[str, Any], names: list[str]) -> dict[str, Tensor]:
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    return {name: state["state"][number]["exp_avg"] for name, number in zip(names, numbers, strict=True)}


def names_of(model: nn.Module, *parts: str) -> list[str]:
    return [f"{part}.{name}" for part in parts for name, _ in model.get_submodule(part).named_parameters()]


@pytest.fixture
def pair() -> tuple[nn.Module, Padded]:
    model = smp.Linknet("resnet18", encoder_weights=None)
    return model, Padded(model)


@pytest.mark.parametrize("prefix", ["", "model."])
def test_what_nothing_runs_is_left_out(pair: tuple[nn.Module, Padded], prefix: str) -> None:
    model, padded = pair
    state = trained(model, padded.parameters(), padded)
    expected = by_name(state, [name for name, _ in padded.named_parameters()])
    saved = {f"{prefix}{key}": value for key, value in padded.state_dict().items()}
    carried = smp.carry_optimizer_state(state, saved, model)
    names = [name for name, _ in model.named_parameters()]
    found = by_name(carried, names)
    assert len(found) == len(expected) - 4
    assert all(found[name] is expected[name] for name in names)
    torch.optim.Adam(model.parameters()).load_state_dict(carried)


def test_groups(pair: tuple[nn.Module, Padded]) -> None:
    model, padded = pair
    groups = [{"params": padded.decoder.parameters(), "lr": 1.0}, {"params": padded.encoder.parameters(), "lr": 0.1}]
    state = trained(model, groups, padded)
    names = [
        f"{part}.{name}" for part in ("decoder", "encoder") for name, _ in padded.get_submodule(part).named_parameters()
    ]
    with pytest.raises(CheckpointError, match=r"of \d+ parameters, and the state dict has \d+; pass names="):
        smp.carry_optimizer_state(state, padded.state_dict(), model)
    carried = smp.carry_optimizer_state(state, padded.state_dict(), model, names=names)
    assert [group["lr"] for group in carried["param_groups"]] == [1.0, 0.1]
    ours = [
        f"{part}.{name}" for part in ("decoder", "encoder") for name, _ in model.get_submodule(part).named_parameters()
    ]
    expected, found = by_name(state, names), by_name(carried, ours)
    assert all(found[name] is expected[name] for name in ours)


def test_a_state_of_another_model(pair: tuple[nn.Module, Padded]) -> None:
    model, padded = pair
    state = trained(model, padded.parameters(), padded)
    with pytest.raises(CheckpointError, match=r"lacks \d+ of the model's parameters, '.*' first: it is of another"):
        smp.carry_optimizer_state(state, padded.state_dict(), smp.Unet("resnet18", encoder_weights=None))
    names = [name for name, _ in padded.named_parameters()][::-1]
    with pytest.raises(CheckpointError, match=r"the optimizer's exp_avg of parameter 0 is \(2, 3\), and 'segmentation"):
        smp.carry_optimizer_state(state, padded.state_dict(), model, names=names)
