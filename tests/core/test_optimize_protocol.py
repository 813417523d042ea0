"""`inference_form` as strangers write it: what the walk gives them, and what is said of those that are wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from settled import furthest, num_norms, with_part
from torch import Tensor, nn

import smp_core
from smp_core.errors import OptionError, PluginError
from smp_core.inference import Walk


class Part(nn.Module):
    """A convolution, a norm, and what may stand behind them."""

    def __init__(self, rest: nn.Module | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))
        self.rest = rest

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(x)
        out: Tensor = x if self.rest is None else self.rest(x)
        return out


class WalksOverAll(Part):
    """Takes its optional part as the others."""

    def inference_form(self, walk: Walk) -> nn.Module:
        self.layers, self.rest = walk.over(self.layers), walk(self.rest)
        return self


class AsksForItself(Part):
    """Means walk.parts."""

    def inference_form(self, walk: Walk) -> nn.Module:
        return walk(self)


class AsksForWhatIsAround(Part):
    """Its part asks for it."""

    def inference_form(self, walk: Walk) -> nn.Module:
        self.rest.around = [self]  # type: ignore[union-attr, assignment]
        return walk.parts(self)


class AsksForThat(nn.Identity):
    """See above."""

    around: Any

    def inference_form(self, walk: Walk) -> nn.Module:
        return walk(self.around[0])


class Fails(Part):
    """Has a fault."""

    def inference_form(self, walk: Walk) -> nn.Module:
        raise ZeroDivisionError("of nothing")


class Leaves(Part):
    """Leaves the program."""

    def inference_form(self, walk: Walk) -> nn.Module:
        raise SystemExit(3)


class SaysNonsense(Part):
    """Returns what is no module."""

    def inference_form(self, walk: Walk) -> nn.Module:
        return [walk(self.layers)]  # type: ignore[return-value]


class WalksOver(Part):
    """Has its rest walked over, and makes another module of what comes of it."""

    def inference_form(self, walk: Walk) -> nn.Module:
        assert self.rest is not None
        return nn.Sequential(walk.over(self.layers), walk.over(self.rest))


class Makes(Part):
    """Asks for the form of what it has just made."""

    def inference_form(self, walk: Walk) -> nn.Module:
        return walk(Fails())


def image() -> Tensor:
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("rest", [None, nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))])
def test_an_optional_part_is_walked_over_as_any(rest: nn.Module | None) -> None:
    model = with_part(WalksOverAll(rest))
    fast = smp_core.optimize(model)
    assert (fast.model.segmentation_head[1].rest is None) is (rest is None)
    assert num_norms(fast) == 0
    with torch.no_grad():
        assert furthest(fast(image()), model(image())) < 1e-11


ITSELF = (
    "asks by walk(self) for the form that it is making; expected walk.parts(self), which puts the form of each part in "
    "its place"
)
MEND = "mend it, or take the method out, which most modules do without"
NO_MODULE = "expected an nn.Module, what stands in its place for inference"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (AsksForItself(), f"AsksForItself.inference_form (at 'segmentation_head.1') {ITSELF}"),
        (
            AsksForWhatIsAround(AsksForThat()),
            f"AsksForWhatIsAround.inference_form (at 'segmentation_head.1') {ITSELF}",
        ),
        (
            nn.Sequential(nn.Identity(), Fails()),
            f"Fails.inference_form (at 'segmentation_head.1.1') raised ZeroDivisionError: of nothing; {MEND}",
        ),
        (Leaves(), f"Leaves.inference_form (at 'segmentation_head.1') raised SystemExit: 3; {MEND}"),
        (
            SaysNonsense(),
            f"SaysNonsense.inference_form (at 'segmentation_head.1') returned list; {NO_MODULE}",
        ),
        (
            WalksOver(nn.Sequential(SaysNonsense())),
            f"SaysNonsense.inference_form (at 'segmentation_head.1.rest.0') returned list; {NO_MODULE}",
        ),
        (Makes(), f"Fails.inference_form (made by another) raised ZeroDivisionError: of nothing; {MEND}"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_wrong_forms_are_named_with_their_place(part: nn.Module, message: str) -> None:
    with pytest.raises(PluginError, match=f"^{re.escape(message)}$") as caught:
        smp_core.optimize(with_part(part))
    if "raised" in message:
        assert isinstance(caught.value.__cause__, (ZeroDivisionError, SystemExit))


class HasNoMemory(Part):
    """Nobody's fault."""

    def inference_form(self, walk: Walk) -> nn.Module:
        raise torch.cuda.OutOfMemoryError("too little")


def test_where_memory_is_short_it_is_nobodys_fault() -> None:
    with pytest.raises(torch.cuda.OutOfMemoryError, match=r"^too little$"):
        smp_core.optimize(with_part(HasNoMemory()))


def test_a_failure_leaves_the_model_as_it_was() -> None:
    model = with_part(Fails())
    model.train()
    before = model(image()[:, :, :32, :32].expand(2, -1, -1, -1)).detach()
    with pytest.raises(PluginError, match="of nothing"):
        smp_core.optimize(model)
    assert all(part.training for part in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(model(image()[:, :, :32, :32].expand(2, -1, -1, -1)).detach(), before)


def test_a_failure_in_place_leaves_a_model_that_refuses_to_run() -> None:
    model = with_part(Fails())
    with pytest.raises(PluginError, match="of nothing"):
        smp_core.optimize(model, inplace=True)
    assert num_norms(model) < num_norms(with_part(Fails()))  # it is half taken apart
    message = (
        "smp_core.optimize(model, inplace=True) took this model apart and failed half way (PluginError: "
        f"Fails.inference_form (at 'segmentation_head.1') raised ZeroDivisionError: of nothing; {MEND}), so that it "
        "would give wrong numbers: throw it away, and build or load it again"
    )
    for call in (model, model.predict, lambda x: model(x=x), lambda x: model.predict(x, labels=True)):
        with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
            call(image())
