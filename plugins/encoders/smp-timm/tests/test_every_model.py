"""Sweeps: every model of timm without memory, and the smallest of each of its modules with real images."""

from __future__ import annotations

import re
import warnings

import pytest
import timm
import timm_checks as check
import torch

import smp_core
from smp_core.errors import IncompatibleError
from smp_testing.expectations import expect_close
from smp_timm import index

pytestmark = pytest.mark.slow

NAMES = index.names()


def _smallest() -> dict[str, str]:
    """The smallest model of each module, by the module's name."""
    facts = sorted((index.find(name) for name in NAMES), key=lambda item: item.parameters)
    found: dict[str, str] = {}
    for item in facts:
        found.setdefault(item.module, f"tu-{item.name}")
    return dict(sorted(found.items()))


SMALLEST = _smallest()
# Of 160 million parameters and more: features alone are compared.
LARGE = {"deepseek_vit", "gemma4_vit"}
ARCHITECTURES = smp_core.list_architectures()


def test_every_model_of_timm_is_here():
    assert sorted(NAMES) == sorted(timm.list_models())


@pytest.mark.parametrize("name", NAMES)
def test_structure(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's own
        check.structure(f"tu-{name}")


@pytest.mark.parametrize("module", SMALLEST)
def test_features(module):
    name = SMALLEST[module]
    encoder = smp_core.create_encoder(name, weights=None).eval()
    native = index.find(name.removeprefix("tu-")).input_size
    for size in (native, (224, 224), (256, 320), (250, 190), (97, 131), (33, 47)):
        check.true_to_declaration(encoder, *size)


@pytest.mark.parametrize("module", sorted(SMALLEST.keys() - LARGE))
def test_a_training_step_and_a_saved_model(module, tmp_path):
    name = SMALLEST[module]
    assert check.trains(name) == []
    torch.manual_seed(0)
    model = smp_core.create("unet", name, encoder_weights=None).eval()
    model.save_pretrained(tmp_path)
    again = smp_core.from_pretrained(tmp_path)
    x = torch.randn(1, 3, 70, 90)
    with torch.no_grad():
        # Not to the bit, as memory may be aligned otherwise; against the largest, as untrained scores may be thousands.
        expect_close([again(x)], [model(x)], f"{name}, loaded again")


@pytest.mark.parametrize("module", sorted(SMALLEST.keys() - LARGE))
def test_every_architecture(module):
    """Made, or refused with a reason, without memory for parameters where it is made."""
    name = SMALLEST[module]
    refused = {}
    for arch in ARCHITECTURES:
        answer = smp_core.compatible(arch, name)
        if answer:
            check.assembles(smp_core.blueprint(arch, name, encoder_weights=None))
            continue
        with pytest.raises(IncompatibleError, match=re.escape(answer.reasons[0])):
            smp_core.blueprint(arch, name, encoder_weights=None)
        refused[arch] = answer.reasons
    spec = smp_core.describe(name).spec
    may_refuse = {"dpt"} if not spec.tokens else set()
    if not spec.tokens and 16 not in spec.dilation:
        may_refuse |= {"deeplabv3", "deeplabv3plus", "pan"}
    elif not spec.tokens and 8 not in spec.dilation:
        may_refuse |= {"deeplabv3"}
    assert refused.keys() <= may_refuse, refused
