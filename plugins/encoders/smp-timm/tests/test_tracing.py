"""torch.export, torch.jit.trace and torch.compile of whole models; copies and pickles."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from samples import TINY_PYRAMIDS, TINY_TRANSFORMERS
from torch import Tensor
from torch.export import Dim

import smp_core

# A pyramid and a transformer on every change; the others, which take as long each, in the sweeps.
_ALWAYS = ("test_efficientnet", "test_vit")


def some_always(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=[] if name in _ALWAYS else pytest.mark.slow) for name in names]


NAMES = some_always((*TINY_PYRAMIDS, *TINY_TRANSFORMERS))


def unet(name: str) -> Any:
    torch.manual_seed(0)
    return smp_core.create("unet", f"tu-{name}", encoder_weights=None, classes=2).eval()


def same(model: Any, other: Any, *sizes: tuple[int, int]) -> None:
    for size in sizes:
        x: Tensor = torch.randn(1, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(other(x), model(x), atol=1e-4, rtol=1e-4)


def exported(model: Any, x: Tensor, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's and torch's own
        return torch.export.export(model, (x,), **options).module()


@pytest.mark.parametrize("name", NAMES)
def test_exported_for_one_size(name: str) -> None:
    model = unet(name)
    same(model, exported(model, torch.randn(1, 3, 70, 96)), (70, 96))


# Not test_resnet, whose shortcuts round up in a pooling layer, nor test_maxvit, which looks at sizes in Python.
DYNAMIC = some_always(("test_efficientnet", "test_convnext", "test_coatnet", "test_vit"))


@pytest.mark.parametrize("name", DYNAMIC)
def test_exported_for_every_size(name: str) -> None:
    model = unet(name)
    shapes = {"x": {2: Dim("height", min=33, max=1024), 3: Dim("width", min=33, max=1024)}}
    program = exported(model, torch.randn(1, 3, 70, 96), dynamic_shapes=shapes)
    same(model, program, (70, 96), (129, 64), (50, 200))


@pytest.mark.parametrize("name", NAMES)
def test_traced(name: str) -> None:
    model = unet(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that become constants
        traced = torch.jit.trace(model, torch.randn(1, 3, 64, 96), check_trace=False)
    same(model, traced, (64, 96))


@pytest.mark.parametrize(
    "name",
    some_always(["test_efficientnet", "test_convnext", "test_maxvit", "test_coatnet", "test_vit", "test_vit_relpos"]),
)
def test_compiled(name: str) -> None:
    torch.compiler.reset()
    model = unet(name)
    same(model, torch.compile(model, backend="eager", fullgraph=True), (64, 96))


@pytest.mark.parametrize("name", ["test_efficientnet", "test_maxvit", "test_vit", "test_coatnet"])
def test_copied_and_pickled(name: str) -> None:
    model = unet(name)
    same(model, copy.deepcopy(model), (50, 70))
    same(model, pickle.loads(pickle.dumps(model)), (50, 70))
    whole = io.BytesIO()
    torch.save(model, whole)
    whole.seek(0)
    same(model, torch.load(whole, weights_only=False), (50, 70))


def test_scripting_is_not_declared() -> None:
    for name in (*TINY_PYRAMIDS, *TINY_TRANSFORMERS):
        assert smp_core.describe(f"tu-{name}").spec.scriptable is False
