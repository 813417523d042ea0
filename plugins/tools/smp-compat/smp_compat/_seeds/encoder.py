"""Drawing an encoder's weights as SMP does."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from smp_compat._seeds.families import FAMILIES, Family
from smp_compat._seeds.layers import DRAWN, is_drawn_here
from smp_core.parts.assembly import build_encoder
from smp_core.parts.emptiness import without_memory
from smp_core.plugin import EncoderSpec
from smp_core.registry import Registered


class _Whole:
    """The encoder as SMP builds it, with all stages, for 3 channels; what ours lacks is drawn and thrown away."""

    def __init__(self, encoder: nn.Module, family: Family) -> None:
        self.own = dict(_layers(encoder))
        self.family = family

    def layer(self, name: str, layer: Any) -> Any:
        """Our layer of a name, or one that is drawn and thrown away."""
        own = self.own.get(name)
        if own is not None and own.weight.shape == layer.weight.shape:
            return own
        return copy.deepcopy(layer).to_empty(device="cpu")

    def build(self, module: nn.Module, name: str = "") -> None:
        """Draw the layers of a module in the order in which they are built, as torch draws them."""
        if isinstance(module, DRAWN):
            self.layer(name, module).reset_parameters()
            return
        children = list(module.named_children())
        for child, part in sorted(children, key=lambda item: item[0] not in self.family.made_first):
            self.build(part, f"{name}.{child}" if name else child)
        own_name = name.rpartition(".")[2]
        if self.family.units and (own_name in self.family.units or own_name.isdigit()):
            self.initialise(module, name)

    def initialise(self, module: nn.Module, name: str = "") -> None:
        """Draw the layers of a module in their order, as the family draws them."""
        assert self.family.initialise is not None
        for inner, layer in _layers(module, name):
            self.family.initialise(self.layer(inner, layer))


def _layers(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, Any]]:
    return ((name, layer) for name, layer in module.named_modules(prefix=prefix) if isinstance(layer, DRAWN))


@torch.no_grad()
def draw(encoder: nn.Module, registered: Registered[EncoderSpec], start: Tensor, *, has_weights: bool) -> None:
    """Give an encoder the random weights that SMP would give it, and leave the generator as SMP would.

    Where it is not known what SMP draws, everything stays as it is.

    Args:
        encoder: as it was built, changed in place.
        registered: what it was built of.
        start: state of the generator before it was built.
        has_weights: whether it has pretrained weights, or gets them afterwards: it keeps its own.
    """
    family = FAMILIES.get(registered.spec.target)
    if family is None or not is_drawn_here(encoder):
        return
    with without_memory():
        full = build_encoder(registered, in_channels=3, depth=registered.spec.max_depth)
    torch.set_rng_state(start)
    whole = _Whole(nn.Module() if has_weights else encoder, family)
    whole.build(full)
    family.extras()
    classifier = family.classifier(registered.spec)
    if family.initialise is not None:
        whole.initialise(full)
        for layer in classifier:
            family.initialise(layer)
    for name, layer in _layers(full):  # of other input channels, which SMP gives it when all is drawn
        own = whole.own.get(name)
        if own is not None and own.weight.shape != layer.weight.shape:
            own.reset_parameters()
