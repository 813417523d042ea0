"""Features of a model by torchvision's extractor, which traces it with torch.fx."""

from __future__ import annotations

import pytest
import torch
from operations import ARCHITECTURES, build, image
from torch import Tensor
from torchvision.models.feature_extraction import create_feature_extractor


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_extracted_features(architecture: str) -> None:
    model = build(architecture)
    names = {"encoder.layer2.1.relu_1": "encoder", "segmentation_head.0": "scores"}
    found = create_feature_extractor(model, names)(image())
    hooked: dict[str, Tensor] = {}
    for name, key in (("encoder.layer2", "encoder"), ("segmentation_head.0", "scores")):
        model.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, key=key: hooked.update({key: output})
        )
    with torch.no_grad():
        model(image())
    assert found.keys() == hooked.keys()
    for key, expected in hooked.items():
        torch.testing.assert_close(found[key], expected, atol=1e-4, rtol=1e-4)
