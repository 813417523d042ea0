"""What people do to built modules, of everything that is installed; the plugins' own tests have a sample of it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from operations import build, called, image, pruned, train

import smp_core
from smp_testing import collect
from smp_testing.expectations import NotApplicable, expect, expect_close, some

pytestmark = pytest.mark.slow

# timm's own layers answer for what it builds; these call their parts.
_OF_OPEN_FAMILIES = {"smp-timm": ["tu-test_resnet", "tu-test_convnext"]}
# Larger encoders have the layers of smaller siblings, and two processes would hold several copies of each.
_LARGEST = 60_000_000
# Three of 76 have more: pruned and trained they would take 30 GB, so that of these only the decoder is.
_LARGEST_TO_PRUNE = 300_000_000

_DISTRIBUTIONS = [item.distribution for item in smp_core.plugins() if item.status == "ok"]


@pytest.mark.parametrize("distribution", dict.fromkeys(_DISTRIBUTIONS))
def test_surgery(distribution: str) -> None:
    opened = _OF_OPEN_FAMILIES.get(distribution, [])
    checks = collect(distribution, encoders=opened, numbers_up_to=_LARGEST, surgery=opened if opened else None)
    _expect_none([_failure(check.id, check.run) for check in checks if check.check.surgery])


# Models are in float64: the kernels are others, and a hundred layers make much of what they round otherwise.


def _calls_its_parts(model: smp_core.SegmentationModel) -> None:
    x = image().double()
    with torch.no_grad():
        found = model(x)
    expect_close([found], [called(model, x)], "the fast forms, against calling every part")


def _traces(model: smp_core.SegmentationModel) -> None:
    x = image((70, 90)).double()
    with torch.no_grad():
        expect_close([torch.fx.symbolic_trace(model)(x)], [called(model, x)], "a graph by torch.fx")


def _maps_over_images(model: smp_core.SegmentationModel) -> None:
    x = image().double()
    with torch.no_grad():
        mapped = torch.func.vmap(lambda item: model(item[None])[0])(x)
        expect_close([mapped], [model(x)], "mapped over images")


def _trains_pruned(model: smp_core.SegmentationModel) -> None:
    """The last of all, as it changes the model."""
    model.float()
    if sum(item.numel() for item in model.encoder.parameters()) > _LARGEST_TO_PRUNE:
        model.freeze_encoder()
        pruned(model.decoder)
    else:
        pruned(model)
    train(model, image())
    missing = [name for name, item in model.named_parameters() if item.requires_grad and item.grad is None]
    expect(not missing, f"no gradient reaches {some(missing)}")


_OPERATIONS: tuple[Callable[[smp_core.SegmentationModel], None], ...] = (
    _calls_its_parts,
    _traces,
    _maps_over_images,
    _trains_pruned,
)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # what vmap runs in a loop
@pytest.mark.parametrize("encoder", smp_core.list_encoders())
def test_pairs(encoder: str) -> None:
    """Every architecture over it."""
    failures = []
    for architecture in smp_core.list_architectures():
        if smp_core.compatible(architecture, encoder):
            model, pair = build(architecture, encoder).double(), f"{architecture} over {encoder}"
            failures += [_failure(f"{pair}, {item.__name__}", functools.partial(item, model)) for item in _OPERATIONS]
    _expect_none(failures)


def _failure(what: str, function: Callable[[], None]) -> str | None:
    try:
        function()
    except NotApplicable:
        return None
    except Exception as error:  # whatever a module raises; all of it is listed
        return f"{what}: {type(error).__name__}: {error}"
    return None


def _expect_none(failures: list[str | None]) -> None:
    failed = [failure for failure in failures if failure is not None]
    assert not failed, "\n".join(failed)
