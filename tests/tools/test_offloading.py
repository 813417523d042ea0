"""Weights that accelerate keeps elsewhere, and brings in by hooks when a module is called."""

from __future__ import annotations

import accelerate
import pytest
import torch
from operations import ARCHITECTURES, build, image

from smp_testing.expectations import expect_close

# With layers that read each other's weights.
ENCODERS = ("densenet121", "mobileone_s0", "mobilenet_v2", "efficientnet-b0", "mit_b0")


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [*((name, "resnet18") for name in ARCHITECTURES), *(("unet", name) for name in ENCODERS), ("segformer", "mit_b0")],
)
def test_offloaded_layer_by_layer(architecture: str, encoder: str) -> None:
    model = build(architecture, encoder)
    with torch.no_grad():
        expected = model(image())
        accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
        assert {item.device.type for item in model.parameters()} == {"meta"}
        expect_close([model(image())], [expected], f"{architecture} over {encoder}, offloaded")
