"""Checks of an encoder's stages, and of what fine-tuning makes of them. Naming stages is optional."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smp_core.errors import OptionError
from smp_core.finetuning import set_gradient_checkpointing, stages_of
from smp_testing.cases import EncoderCase, perturb
from smp_testing.checks.encoder import parameters_behind
from smp_testing.expectations import ConformanceError, NotApplicable, expect, expect_close, expect_equal, some
from smp_testing.training import gradients_of, loss_of


def stages_name_every_parameter_once(case: EncoderCase) -> None:
    """At each depth every parameter lies under one name, and there is one stage a feature, the input not counted."""
    for depth in range(case.spec.min_depth, case.spec.max_depth + 1):
        module = case.build_cheaply(depth=depth)
        stages, number = _stages(case, module), len(_made_features(case, module))
        what = f"{case.name} at depth {depth}: number of stages that stage_modules() names"
        if case.spec.tokens:
            expect(len(stages) > number, f"{what}: expected the stem's and one a block, got {len(stages)}")
        else:
            expect_equal(len(stages), number, what)


def features_end_their_stages(case: EncoderCase) -> None:
    """A feature is made with the parameters of its stage and of those before it, and with no others."""
    module = case.outline()
    stages = [_trainable(module, names) for names in _stages(case, module)]
    features = case.features(module, case.image())
    if case.spec.tokens:
        _expect_beginnings(case, stages, features)
        return
    for number, index in enumerate(_made_features(case, module), 1):
        used = parameters_behind(features[: index + 1])
        late = [name for stage in stages[number:] for key, name in stage.items() if key in used]
        expect(
            not late,
            f"{case.name}: features[{index}] is made with {some(late)}, which stage_modules() names after stage "
            f"{number}; expected a stage to be what a feature takes beyond those before it",
        )
        early = [name for stage in stages[:number] for key, name in stage.items() if key not in used]
        expect(
            not early,
            f"{case.name}: features[{index}] is made without {some(early)}, which stage_modules() names up to stage "
            f"{number}; expected a stage to be what a feature takes beyond those before it",
        )


def _expect_beginnings(case: EncoderCase, stages: list[dict[int, str]], features: list[Tensor]) -> None:
    """Blocks follow each other; of the last stage every feature may have the final norm, which is a part of it."""
    for index, feature in enumerate(features):
        used = parameters_behind([feature])
        reached = [number for number, stage in enumerate(stages[:-1], 1) if any(key in used for key in stage)]
        reached += [len(stages)] if all(key in used for key in stages[-1]) else []
        expect(
            reached == list(range(1, len(reached) + 1)),
            f"{case.name}: features[{index}] is made with the stages {reached} that stage_modules() names; expected "
            "the first ones, without a gap",
        )


def gradient_checkpointing_only_saves_memory(case: EncoderCase) -> None:
    """With gradient checkpointing a training step gives the same, and keeps less for the backward pass."""
    if not hasattr(case.shared_outline(), "set_gradient_checkpointing"):
        _stages(case, case.shared_outline())
    plain, recomputed = _train(case, recomputes=False), _train(case, recomputes=True)
    what = f"{case.name} with gradient checkpointing, in training mode"
    expect_close(recomputed.features, plain.features, f"{what}: features")
    for kind, got, expected in (
        ("gradient of", recomputed.gradients, plain.gradients),
        ("buffer", recomputed.buffers, plain.buffers),
    ):
        expect_equal(list(got), list(expected), f"{what}: names of each {kind}")
        for name, tensor in expected.items():
            expect_close([got[name]], [tensor], f"{what}: {kind} {name}")
    expect(
        recomputed.num_kept < plain.num_kept,
        f"{what}: {recomputed.num_kept} bytes are kept for the backward pass, without it {plain.num_kept}; expected "
        "less: forward must call the blocks of the stages as modules, or set_gradient_checkpointing do what is needed",
    )


@dataclass(frozen=True)
class _Step:
    """What a training step gave, by the names of parameters and buffers, and the bytes kept for its gradients."""

    features: list[Tensor]
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]
    num_kept: int


def _train(case: EncoderCase, *, recomputes: bool) -> _Step:
    module, x = case.build(), case.image()
    perturb(module)
    if recomputes:
        try:
            set_gradient_checkpointing(module)
        except OptionError as error:
            raise ConformanceError(f"{case.name}: {error}") from error
    own = {item.untyped_storage().data_ptr() for item in (*module.parameters(), x)}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.default_generator.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        features = [item for item in case.run(module.train(), x) if item.requires_grad]
    loss_of(features).backward()
    return _Step(
        [item.detach() for item in features],
        gradients_of(module),
        dict(module.named_buffers()),
        sum(kept.values()),
    )


def _stages(case: EncoderCase, module: nn.Module) -> list[list[str]]:
    """The stages that an encoder names, checked.

    Raises:
        NotApplicable: it names none.
    """
    named = hasattr(module, "stage_modules")
    if named:
        try:
            module.stage_modules()  # type: ignore[operator]
        except NotImplementedError:  # of `smp_core.encoder.EncoderBase`
            named = False
    if not named:
        raise NotApplicable(
            f"{case.name} names no stages (stage_modules), which freezing a part, layer-wise learning rates and "
            "gradient checkpointing need"
        )
    try:
        return stages_of(module, "fine-tuning")
    except OptionError as error:
        raise ConformanceError(f"{case.name}: {error}") from error


def _made_features(case: EncoderCase, module: nn.Module) -> range:
    """The indices of the features that are not the input."""
    reductions: tuple[int, ...] = tuple(module.reductions)  # type: ignore[arg-type]
    has_input = not case.spec.tokens and reductions[0] == 1 and not getattr(module, "full_resolution", False)
    return range(int(has_input), len(reductions))


def _trainable(module: nn.Module, names: list[str]) -> dict[int, str]:
    """Ids and names of the trainable parameters under names."""
    return {
        id(item): key
        for key, item in module.named_parameters()
        if item.requires_grad and any(key == name or key.startswith(f"{name}.") for name in names)
    }
