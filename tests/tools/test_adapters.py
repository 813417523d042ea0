"""Low-rank adapters by peft (LoRA, arXiv:2106.09685), on the layers of encoders and decoders."""

from __future__ import annotations

import peft
import pytest
import torch
from operations import ARCHITECTURES, build, image, train
from torch import Tensor, nn

from smp_testing.expectations import expect_close


def is_adapted(layer: nn.Module) -> bool:
    """Whether peft has an adapter for a layer: it drops the dilation of a convolution, and cannot merge groups."""
    if isinstance(layer, nn.Conv2d) and (layer.groups > 1 or layer.dilation != (1, 1)):
        return False
    return isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.weight.requires_grad


def adapted(model: nn.Module, *prefixes: str) -> peft.PeftModel:
    """A model with adapters on every layer below these, which add nothing yet."""
    layers = [name for name, layer in model.named_modules() if name.startswith(prefixes) and is_adapted(layer)]
    return peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=layers))


def numbers(model: nn.Module) -> Tensor:
    with torch.no_grad():
        result: Tensor = model(image())
    return result


@pytest.mark.parametrize(
    ("architecture", "encoder", "prefixes"),
    [
        ("segformer", "mit_b0", ("encoder", "decoder", "segmentation_head")),
        ("unet", "resnet18", ("encoder", "decoder", "segmentation_head")),
        ("unet", "mobileone_s0", ("encoder",)),
        *((name, "resnet18", ("decoder", "segmentation_head")) for name in ARCHITECTURES),
    ],
)
def test_adapters_learn_and_merge(architecture: str, encoder: str, prefixes: tuple[str, ...]) -> None:
    model = build(architecture, encoder)
    before = numbers(model)
    wrapped = adapted(model, *prefixes)
    expect_close([numbers(wrapped)], [before], "with adapters that add nothing")

    down = {name: item.detach().clone() for name, item in wrapped.named_parameters() if "lora_A" in name}
    assert down
    train(wrapped, image(), steps=2)
    learned = [name for name, item in wrapped.named_parameters() if "lora_B" in name and item.abs().max() > 0]
    assert len(learned) == len(down)
    frozen = [name for name, item in wrapped.named_parameters() if "lora" not in name and item.grad is not None]
    assert not frozen

    expected = numbers(wrapped)
    assert not torch.allclose(expected, before, atol=1e-4)
    merged = wrapped.merge_and_unload()
    assert not [name for name, _ in merged.named_modules() if "lora" in name]
    expect_close([numbers(merged)], [expected], "with merged adapters")
