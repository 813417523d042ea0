"""Training: gradients, stages, freezing, rates, recomputed activations."""

from __future__ import annotations

from typing import Any

import pytest
import timm_checks as check
import torch
from samples import EVERY, TINY_PYRAMIDS, TINY_TRANSFORMERS, long_ones_slow

import smp_core
from smp_core.errors import OptionError
from smp_core.finetuning import stages_of
from smp_core.parts.assembly import assemble_empty

# Their stages are looked at; the others of the sample take long without memory.
STAGED = [name for name in EVERY if name not in ("sequencer2d_s", "ghostnetv3_050")]
LEARNING = (*TINY_PYRAMIDS, *TINY_TRANSFORMERS, "efficientvit_m0", "dla46_c")


def unet(name: str) -> Any:
    torch.manual_seed(0)
    return smp_core.create("unet", f"tu-{name}", encoder_weights=None, classes=2)


def encoder_of(model: Any) -> Any:
    """The encoder, without a neck."""
    return getattr(model.encoder, "encoder", model.encoder)


@pytest.mark.parametrize("name", LEARNING)
def test_every_parameter_learns(name: str) -> None:
    assert check.trains(f"tu-{name}") == []


@pytest.mark.parametrize("name", long_ones_slow(STAGED))
def test_stages(name: str) -> None:
    """Every parameter once; a stage for each feature, or the stem's and one for each block."""
    blueprint = smp_core.blueprint("unet", f"tu-{name}", encoder_weights=None)
    encoder = encoder_of(assemble_empty(blueprint))
    stages = stages_of(encoder, "the test")
    if getattr(encoder, "tokens", False):
        assert len(stages) == 1 + len(encoder.model.blocks)
        assert all(f"model.blocks.{number}" in names for number, names in enumerate(stages[1:]))
    else:
        assert len(stages) == len([item for item in encoder.reductions if item > 1]) + int(encoder.full_resolution)
    named = sum(item.numel() for names in stages for name in names for item in parameters(encoder, name))
    assert named == sum(item.numel() for item in encoder.parameters())


def parameters(encoder: Any, name: str) -> list[torch.nn.Parameter]:
    try:
        return list(encoder.get_submodule(name).parameters())
    except AttributeError:
        return [encoder.get_parameter(name)]


STEMS = {
    "test_resnet": (
        ["model.conv1", "model.bn1"],
        ["model.layer1"],
        ["model.layer2"],
        ["model.layer3"],
        ["model.layer4"],
    ),
    "test_convnext": (["model.stem_0", "model.stem_1", "model.stages_0"], ["model.stages_1"], ["model.stages_2"]),
    "test_efficientnet": (["model.conv_stem", "model.bn1", "model.blocks.0"], ["model.blocks.1"], ["model.blocks.2"]),
    "test_vit": (["model.patch_embed", "model.cls_token", "model.pos_embed"], ["model.blocks.0"], ["model.blocks.1"]),
}


@pytest.mark.parametrize("name", STEMS)
def test_the_first_stages(name: str) -> None:
    stages = smp_core.create_encoder(f"tu-{name}", weights=None).stage_modules()
    assert [sorted(names) for names in stages[: len(STEMS[name])]] == [sorted(names) for names in STEMS[name]]


def test_stages_of_an_encoder_that_is_less_deep_or_dilated() -> None:
    for name, options, number in (
        ("test_efficientnet", {"depth": 3}, 3),
        ("test_resnet", {"output_stride": 8}, 5),
        ("test_vit", {"depth": 2, "output_indices": [1, 3]}, 5),
    ):
        encoder = smp_core.create_encoder(f"tu-{name}", weights=None, **options)
        assert len(stages_of(encoder, "the test")) == number


def test_a_frozen_beginning_stays_as_it_is() -> None:
    for name in ("test_resnet", "test_vit"):
        model = unet(name)
        model.freeze_encoder(stages=2)
        encoder = encoder_of(model)
        frozen = {key for key, item in encoder.named_parameters() if not item.requires_grad}
        names = [item for names in encoder.stage_modules()[:2] for item in names]
        assert frozen == {
            key
            for key, _ in encoder.named_parameters()
            if any(key == one or key.startswith(f"{one}.") for one in names)
        }
        before = {key: value.clone() for key, value in encoder.state_dict().items()}
        model.train()
        optimizer = torch.optim.SGD(model.parameter_groups(lr=0.1), lr=0.1)
        model(torch.randn(2, 3, 64, 64)).square().mean().backward()
        optimizer.step()
        changed = {key for key, value in encoder.state_dict().items() if not torch.equal(value, before[key])}
        assert changed
        assert not [key for key in changed if any(key == one or key.startswith(f"{one}.") for one in names)]
        model.unfreeze_encoder()
        assert all(item.requires_grad for item in encoder.parameters())


def test_more_stages_than_there_are() -> None:
    with pytest.raises(OptionError, match=r"stages must be an int in 1\.\.7, .*; TimmTokenEncoder has 7 stages: 1 \("):
        unet("test_vit").freeze_encoder(stages=8)


def test_rates_fall_towards_the_stem() -> None:
    model = unet("test_vit")
    groups = model.parameter_groups(lr=1.0, layer_decay=0.5, weight_decay=0.1)
    rates = {group["name"]: group["lr"] for group in groups}
    assert [rates[f"encoder.stage{number}.no_decay"] for number in (1, 2, 7)] == [0.5**7, 0.5**6, 0.5]
    listed = [item for group in groups for item in group["params"]]
    assert len(listed) == len({*map(id, listed)}) == len([*model.parameters()])


def test_what_timm_does_not_decay_is_not_decayed() -> None:
    model = unet("test_vit3")
    undecayed = {
        id(item) for group in model.parameter_groups(lr=1.0) for item in group["params"] if not group["weight_decay"]
    }
    encoder = encoder_of(model)
    assert encoder.no_weight_decay() == {"model.pos_embed", "model.reg_token"}  # and it has no class token
    for name in encoder.no_weight_decay():
        assert id(encoder.get_parameter(name)) in undecayed
    assert id(encoder.get_parameter("model.patch_embed.proj.weight")) not in undecayed


@pytest.mark.parametrize(
    "name", ["test_resnet", "test_efficientnet", "test_convnext", "test_maxvit", "test_vit", "vgg11_bn"]
)
def test_recomputed_activations_change_nothing(name: str) -> None:
    x = torch.randn(2, 3, 64, 64)
    found = []
    for enabled in (False, True):
        model = unet(name).train()
        model.set_gradient_checkpointing(enabled)
        model(x).square().mean().backward()
        tensors = {key: item.grad for key, item in model.named_parameters()} | dict(model.named_buffers())
        found.append(tensors)
    for key, value in found[0].items():
        torch.testing.assert_close(found[1][key], value, msg=lambda text, key=key: f"{key}: {text}")
