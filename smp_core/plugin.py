"""All that a plugin imports when it is discovered: specs, hook specifications, and the hook marker.

Nothing here imports torch, and a plugin module that imports only this and the standard library stays as light.
Importing this module never triggers discovery.

A plugin is a module named by an entry point of the group ``smp_core``::

    # acme_smp_hiera/plugin.py
    from smp_core.plugin import EncoderSpec, hookimpl

    @hookimpl
    def smp_encoders():
        return [EncoderSpec(name="hiera_tiny", target="acme_smp_hiera.encoder:HieraEncoder", ...)]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from smp_core._specs.architecture import ArchitectureSpec
from smp_core._specs.command import CommandSpec
from smp_core._specs.conformance import ConformanceSpec
from smp_core._specs.encoder import EncoderSpec
from smp_core._specs.form import FormRule
from smp_core._specs.former import FormerOption, Migration
from smp_core._specs.kinds import INTERPOLATIONS, Flag, NormKind, Number, OneOf, OptionKind, Whole, Wholes
from smp_core._specs.neck import NeckSpec
from smp_core._specs.weights import WeightsSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = [
    "API_VERSION",
    "ENTRY_POINT_GROUP",
    "INTERPOLATIONS",
    "OLDEST_API_VERSION",
    "ArchitectureSpec",
    "CommandSpec",
    "ConformanceSpec",
    "EncoderSpec",
    "Flag",
    "FormRule",
    "FormerOption",
    "Migration",
    "NeckSpec",
    "NormKind",
    "Number",
    "OneOf",
    "OptionKind",
    "WeightsSpec",
    "Whole",
    "Wholes",
    "hookimpl",
    "hookspec",
    "smp_architecture_names",
    "smp_architectures",
    "smp_commands",
    "smp_conformance",
    "smp_encoder_names",
    "smp_encoders",
    "smp_forms",
    "smp_model_created",
    "smp_necks",
    "smp_resolve_architecture",
    "smp_resolve_encoder",
]

API_VERSION = 1
"""Of the hooks and specs below. A plugin module that needs a certain one says so: ``api_version = 1``.

It grows where a plugin could use something that older cores do not have; ``OLDEST_API_VERSION`` grows where something
is gone.
"""
OLDEST_API_VERSION = 1

PROJECT_NAME = "smp_core"
ENTRY_POINT_GROUP = "smp_core"

_Function = TypeVar("_Function", bound="Callable[..., Any]")

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)
"""Marks a function of a plugin module as the implementation of the hook of the same name."""


@hookspec
def smp_encoders() -> Iterable[EncoderSpec]:  # type: ignore[empty-body]
    """Return the specs of the encoders that this plugin provides."""


@hookspec
def smp_architectures() -> Iterable[ArchitectureSpec]:  # type: ignore[empty-body]
    """Return the specs of the architectures that this plugin provides."""


@hookspec
def smp_necks() -> Iterable[NeckSpec]:  # type: ignore[empty-body]
    """Return the specs of the necks that this plugin provides."""


@hookspec
def smp_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Return the specs of the commands that this plugin adds to the program ``smp`` of smp-cli."""


@hookspec
def smp_forms() -> Iterable[FormRule]:  # type: ignore[empty-body]
    """Return rules of which form of a fused layer runs where; they come before the core's own.

    For who has measured a device that the core has not.
    """


@hookspec
def smp_conformance() -> ConformanceSpec:  # type: ignore[empty-body]
    """Return what the checks of smp-testing take for granted of this plugin, such as what it knowingly does not do.

    Asked by smp-testing alone.
    """


@hookspec
def smp_resolve_encoder(name: str) -> EncoderSpec | None:
    """Return the spec of an encoder of an open family, or None where the name is not of that family.

    Asked only for names that no plugin lists and that the core does not know. The answer's ``name`` is ``name``, or
    ``name`` is among its ``former_names``.
    A name of the family that means nothing may be explained by raising `smp_core.errors.UnknownEncoderError`.
    """


@hookspec
def smp_encoder_names() -> Iterable[str]:  # type: ignore[empty-body]
    """Return the names of an open family that there are, as far as they can be counted: each is one that
    `smp_resolve_encoder` answers. Asked only when a user wants them listed, or wrote one that there is not.
    """


@hookspec
def smp_resolve_architecture(name: str) -> ArchitectureSpec | None:
    """Return the spec of an architecture of an open family, or None where the name is not of that family.

    Asked as `smp_resolve_encoder` is; a name that means nothing raises `smp_core.errors.UnknownArchitectureError`.
    """


@hookspec
def smp_architecture_names() -> Iterable[str]:  # type: ignore[empty-body]
    """Return the names of an open family of architectures that there are, as `smp_encoder_names` does."""


@hookspec
def smp_model_created(model: nn.Module, config: Mapping[str, Any]) -> None:
    """Called after `smp_core.create` has built a model.

    Args:
        model: the finished `smp_core.SegmentationModel`, on the CPU, in training mode.
        config: what rebuilds it; a copy of ``model.config``.
    """
