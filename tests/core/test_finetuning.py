"""Freezing stages and parameter groups, for any encoder that names its stages."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from toy_models import Bare, ToyEncoder, ToyModel, ToyNeck, randomise

from smp_core.encoder import EncoderBase, EncoderWithNeck
from smp_core.errors import OptionError

STAGES = 4


class Embedded(ToyEncoder):
    """With parameters of every kind: a position embedding and a layer scale that are in no submodule."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.position = nn.Parameter(torch.rand(1, 4, 1, 1))
        self.scale = nn.Parameter(torch.rand(16))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        features = [x, self.get_submodule("stage1")(x) + self.position]
        for number in range(2, 5):
            features.append(self.get_submodule(f"stage{number}")(features[-1]))
        return [*features[:-1], features[-1] * self.scale[:, None, None]]

    def stage_modules(self) -> list[list[str]]:
        first, *between, last = super().stage_modules()
        return [[*first, "position"], *between, [*last, "scale"]]

    def no_weight_decay(self) -> set[str]:
        return {"position", "class_token"}  # of which this one has only the first


@pytest.fixture
def model() -> ToyModel:
    built = ToyModel(Embedded(dropout=0.5), classes=2, aux_params={"classes": 5})
    randomise(built)
    return built


def trainable(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def stage_of(name: str) -> int:
    """The number of the stage of a parameter of the model; 0 outside of the encoder."""
    if not name.startswith("encoder."):
        return 0
    if name in ("encoder.position", "encoder.scale"):
        return 1 if name == "encoder.position" else STAGES
    return int(name.split(".")[1].removeprefix("stage"))


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def steps(model: ToyModel, number: int = 2) -> None:
    optimiser = torch.optim.AdamW(model.parameter_groups(lr=0.1))
    for _ in range(number):
        model.train()
        masks, labels = model(torch.rand(4, 3, 32, 32))
        optimiser.zero_grad()
        (masks.sum() + labels.sum()).backward()
        optimiser.step()


# --- freezing


@pytest.mark.parametrize("stages", [1, 2, 3, 4, np.int64(2)])
def test_frozen_stages_do_not_move_and_the_others_do(model: ToyModel, stages: int) -> None:
    model.freeze_encoder(stages=stages)
    assert {stage_of(name) for name in trainable(model)} == {0, *range(stages + 1, STAGES + 1)}
    before = state(model)
    steps(model)
    for name, tensor in model.state_dict().items():
        frozen = 1 <= stage_of(name) <= int(stages)
        assert torch.equal(tensor, before[name]) is frozen, name


def test_statistics_stand_through_train_and_eval(model: ToyModel) -> None:
    model.freeze_encoder(2)
    norms = [module for module in model.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    for mode in (True, False, True):
        model.train(mode)
        assert [norm.training for norm in norms] == [False, False, mode, mode]
        assert model.encoder.training is model.decoder.training is mode
    # What has no statistics trains on: dropout.
    assert all(module.training for module in model.modules() if isinstance(module, nn.Dropout))


@given(st.lists(st.sampled_from([None, 1, 2, 3, 4]), max_size=5))
def test_the_last_call_counts_and_unfreezing_undoes_all(calls: list[int | None]) -> None:
    model = ToyModel(Embedded())
    model.encoder.get_parameter("stage2.0.weight").requires_grad_(False)
    before = trainable(model)
    for stages in calls:
        model.freeze_encoder(stages)
        frozen = STAGES if stages is None else stages
        assert trainable(model) == {name for name in before if not 1 <= stage_of(name) <= frozen}
    model.unfreeze_encoder()
    assert trainable(model) == before
    assert all(module.training for module in model.modules())


def test_a_neck_stays_trainable_and_the_stages_are_those_of_the_encoder_inside() -> None:
    encoder = ToyEncoder()
    neck = ToyNeck(out_channels=encoder.out_channels, reductions=encoder.reductions, tokens=False)
    model = ToyModel(EncoderWithNeck(encoder, neck))
    model.freeze_encoder(3)
    frozen = {name for name, _ in model.named_parameters()} - trainable(model)
    assert {name.rsplit(".", 2)[0] for name in frozen} == {f"encoder.encoder.stage{number}" for number in (1, 2, 3)}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_frozen_and_thaws_alone(model: ToyModel, copied: Any) -> None:
    model.freeze_encoder(2)
    other = copied(model)
    other.train()
    assert trainable(other) == trainable(model)
    assert not other.encoder.get_submodule("stage2.1").training
    other.unfreeze_encoder()
    assert trainable(other) == {name for name, _ in model.named_parameters()} != trainable(model)


def test_what_was_taken_out_is_let_go(model: ToyModel) -> None:
    model.freeze_encoder(2)
    del model.encoder.stage2
    model.train()
    model.unfreeze_encoder()
    assert trainable(model) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("stages", [0, -1, 5, True, 2.0, "2"])
def test_a_number_of_stages_that_there_is_not(model: ToyModel, stages: Any) -> None:
    model.freeze_encoder(1)
    before = trainable(model)
    message = (
        f"stages must be an int in 1..4, or None for the whole encoder, got {stages!r}; Embedded has 4 stages: "
        "1 (stage1, position), 2 (stage2), 3 (stage3), 4 (stage4, scale)"
    )
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        model.freeze_encoder(stages=stages)
    assert trainable(model) == before  # of an error nothing is left


def test_of_many_names_the_first_and_the_last_are_shown() -> None:
    encoder = ToyEncoder(depth=1)
    encoder.stage1 = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(5)))
    encoder.stage_modules = lambda: [[f"stage1.{number}" for number in range(5)]]
    with pytest.raises(OptionError, match=r"has 1 stages: 1 \(stage1.0 to stage1.4\)$"):
        ToyModel(encoder).freeze_encoder(2)


_NO_STAGES = (
    "{} does not name its stages, which {} needs; give it a method stage_modules() -> list[list[str]]: the names of "
    "its submodules, stage by stage, stem first"
)


class Nameless(ToyEncoder):
    stage_modules = EncoderBase.stage_modules


@pytest.mark.parametrize("encoder", [Bare(), Nameless()], ids=["a module", "EncoderBase"])
def test_an_encoder_without_stages(encoder: nn.Module) -> None:
    model = ToyModel(encoder)
    for call, needed_for in (
        (lambda: model.freeze_encoder(stages=1), "freeze_encoder(stages=...)"),
        (lambda: model.parameter_groups(lr=1, layer_decay=0.5), "parameter_groups(layer_decay=...)"),
        (lambda: model.set_gradient_checkpointing(True), "set_gradient_checkpointing"),
    ):
        message = _NO_STAGES.format(type(encoder).__name__, needed_for)
        with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
            call()
    model.freeze_encoder()  # what needs no stages works
    model.unfreeze_encoder()
    model.set_gradient_checkpointing(False)
    groups = model.parameter_groups(lr=1)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("stages", "problems"),
    [
        ([["stage1"], ["stage2", "stage5"]], "'stage5' is neither a submodule nor a parameter"),
        ([["stage1"], ["stage2", ""]], "'' is neither a submodule nor a parameter"),
        ([["stage1"], ["depth"]], "'depth' is neither a submodule nor a parameter"),
        ([["stage1"], ["stage1", "stage2"]], "'stage1' is named twice"),
        ([["stage1"], ["stage2.0", "stage2"]], "'stage2.0' is named twice"),
        ([["stage1"], ["stage2.0"]], "'stage2.1.weight' is left out, 'stage2.1.bias' is left out"),
        ([], "'stage1.0.weight' is left out, .*, 'stage2.0.weight' is left out, and 2 more"),
    ],
)
def test_stages_that_are_wrong(stages: list[list[str]], problems: str) -> None:
    encoder = ToyEncoder(depth=2)
    encoder.stage_modules = lambda: stages
    with pytest.raises(
        OptionError,
        match=rf"^ToyEncoder.stage_modules\(\) is wrong, which parameter_groups\(layer_decay=...\) needs: {problems}; "
        "expected every parameter to lie under exactly one name$",
    ):
        ToyModel(encoder).parameter_groups(lr=1, layer_decay=0.5)


# --- parameter groups


@given(
    lr=st.floats(0, 1),
    weight_decay=st.floats(0, 1),
    layer_decay=st.none() | st.floats(0.01, 1),
    encoder_lr=st.none() | st.floats(0, 1),
    frozen=st.sampled_from([0, 1, 3, 4, None]),
)
def test_every_trainable_parameter_is_in_one_group_with_its_rate_and_decay(
    lr: float, weight_decay: float, layer_decay: float | None, encoder_lr: float | None, frozen: int | None
) -> None:
    model = ToyModel(Embedded(), aux_params={"classes": 2})
    if frozen != 0:
        model.freeze_encoder(frozen)
    groups = model.parameter_groups(lr=lr, weight_decay=weight_decay, layer_decay=layer_decay, encoder_lr=encoder_lr)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = [names[id(parameter)] for group in groups for parameter in group["params"]]
    assert len(found) == len(set(found))
    assert set(found) == trainable(model)
    assert len({group["name"] for group in groups}) == len(groups)
    for group in groups:
        assert sorted(group) == ["lr", "name", "params", "weight_decay"]
        assert group["params"]
        for parameter in group["params"]:
            name = names[id(parameter)]
            stage = stage_of(name)
            base = lr if encoder_lr is None or not stage else encoder_lr
            factor = layer_decay ** (STAGES + 1 - stage) if layer_decay is not None and stage else 1
            assert group["lr"] == pytest.approx(base * factor)
            is_decayed = parameter.ndim > 1 and name != "encoder.position"
            assert group["weight_decay"] == (weight_decay if is_decayed else 0)
            assert group["name"].endswith(".no_decay") is not is_decayed


def test_names_and_defaults(model: ToyModel) -> None:
    groups = model.parameter_groups(lr=1e-3)
    assert [group["name"] for group in groups] == [
        *("encoder", "encoder.no_decay", "decoder", "decoder.no_decay"),
        *("segmentation_head", "segmentation_head.no_decay", "classification_head", "classification_head.no_decay"),
    ]
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(1e-3, 0.01), (1e-3, 0.0)}
    named = {group["name"] for group in model.parameter_groups(lr=1, layer_decay=0.75)}
    assert {f"encoder.stage{number}" for number in range(1, 5)} <= named
    model.freeze_encoder()
    assert not any(group["name"].startswith("encoder") for group in model.parameter_groups(lr=1))


def test_a_neck_and_what_else_there_is_have_the_plain_rate() -> None:
    encoder = ToyEncoder()
    neck = ToyNeck(out_channels=encoder.out_channels, reductions=encoder.reductions, tokens=False)
    model = ToyModel(EncoderWithNeck(encoder, neck))
    model.temperature = nn.Parameter(torch.ones(1))
    rates = {group["name"]: group["lr"] for group in model.parameter_groups(lr=1, encoder_lr=0.5, layer_decay=0.5)}
    assert rates["neck"] == rates["neck.no_decay"] == rates["model.no_decay"] == 1
    assert (rates["encoder.stage4"], rates["encoder.stage1"]) == (0.25, 0.03125)


def test_a_shared_parameter_is_in_one_group(model: ToyModel) -> None:
    model.decoder.tied = model.encoder.get_submodule("stage1.0")
    model.encoder.stage2[0].weight_again = model.encoder.get_parameter("stage2.0.weight")
    groups = model.parameter_groups(lr=1, layer_decay=0.5)
    found = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(found) == len(set(found)) == len(list(model.parameters()))
    (owner,) = [
        group["name"] for group in groups for parameter in group["params"] if parameter is model.decoder.tied.weight
    ]
    assert owner == "encoder.stage1"


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam])
def test_optimizers_take_them(model: ToyModel, kind: Any) -> None:
    optimiser = kind(model.parameter_groups(lr=0.1, layer_decay=0.5), lr=9.0)
    before = state(model)
    masks, labels = model(torch.rand(4, 3, 32, 32))
    (masks.sum() + labels.sum()).backward()
    optimiser.step()
    assert not any(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    optimiser.load_state_dict(optimiser.state_dict())
    assert {group["lr"] for group in optimiser.param_groups} == {0.1, 0.05, 0.025, 0.0125, 0.00625}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -1}, "lr must be a number of at least 0, got -1"),
        ({"lr": "1e-3"}, "lr must be a number of at least 0, got '1e-3'"),
        ({"lr": None}, "lr must be a number of at least 0, got None"),
        ({"lr": True}, "lr must be a number of at least 0, got True"),
        ({"weight_decay": float("nan")}, "weight_decay must be a number of at least 0, got nan"),
        ({"encoder_lr": float("inf")}, "encoder_lr must be a number of at least 0, got inf"),
        ({"layer_decay": 0}, "layer_decay must be a number above 0 and at most 1, or None, got 0"),
        ({"layer_decay": 1.5}, "layer_decay must be a number above 0 and at most 1, or None, got 1.5"),
        (
            {"lr": -1, "weight_decay": None, "layer_decay": "0.75"},
            "lr must be a number of at least 0, got -1; weight_decay must be a number of at least 0, got None; "
            "layer_decay must be a number above 0 and at most 1, or None, got '0.75'",
        ),
    ],
    ids=str,
)
def test_values_that_cannot_be(model: ToyModel, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        model.parameter_groups(**{"lr": 1e-3, **arguments})
