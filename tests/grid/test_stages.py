"""Every encoder of ours names its stages: the conformance checks of these leave out what names none."""

from __future__ import annotations

import pytest

import smp_core
from smp_core.encoder import EncoderBase
from smp_core.parts.targets import load_target

FAMILIES = (
    *("smp-densenet", "smp-dpn", "smp-efficientnet", "smp-inception", "smp-mit", "smp-mobilenet", "smp-mobileone"),
    *("smp-resnet", "smp-senet", "smp-sknet", "smp-vgg", "smp-xception"),
)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_of_ours_names_its_stages(family):
    names = smp_core.list_encoders(provider=family)
    assert names
    for name in names:
        target = load_target(smp_core.describe(name).spec.target, name)
        assert issubclass(target, EncoderBase)
        assert target.stage_modules is not EncoderBase.stage_modules, name
