"""What differs between resolving an encoder, an architecture, a neck and a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from smp_core._specs.registered import Spec
from smp_core.errors import (
    RegistryError,
    UnknownArchitectureError,
    UnknownCommandError,
    UnknownEncoderError,
    UnknownNeckError,
)
from smp_core.plugin import ArchitectureSpec, CommandSpec, EncoderSpec, NeckSpec
from smp_core.registry import index
from smp_core.registry.discovery import LoadedPlugin


def _is_former_name(spec: EncoderSpec | NeckSpec | CommandSpec, name: str) -> bool:
    return name in spec.former_names


def _is_spelling(spec: ArchitectureSpec, name: str) -> bool:
    """Upper and lower case do not matter for architectures, and the class name in checkpoints means one, too."""
    return name.casefold() in (spec.name.casefold(), spec.class_name.casefold())


def _is_former_spelling(spec: ArchitectureSpec, name: str) -> bool:
    return name.casefold() in map(str.casefold, spec.former_names)


@dataclass(frozen=True)
class Kind(Generic[Spec]):
    """What differs between resolving an encoder, an architecture, a neck and a command.

    Attributes:
        word: how people call it.
        specs: those of a plugin, by name.
        owner: the first-party distribution that owns a name.
        known_names: all names that first-party distributions own.
        unknown: the error where nobody provides a name.
        open_families: whether plugins may also resolve names that they do not list: by the hook ``smp_resolve_<word>``;
            ``smp_<word>_names`` counts them.
        spec_type: of the specs.
        matches: how else a name may mean a spec, where none has exactly that name; in order.
    """

    word: str
    specs: Callable[[LoadedPlugin], Mapping[str, Spec]]
    owner: Callable[[str], str | None]
    known_names: Callable[[], tuple[str, ...]]
    unknown: type[RegistryError]
    spec_type: type[Any]
    open_families: bool = False
    matches: tuple[Callable[[Any, str], bool], ...] = (_is_former_name,)


ENCODER: Kind[EncoderSpec] = Kind(
    word="encoder",
    spec_type=EncoderSpec,
    specs=lambda plugin: plugin.encoders,
    owner=index.encoder_owner,
    known_names=index.encoder_names,
    unknown=UnknownEncoderError,
    open_families=True,
)
ARCHITECTURE: Kind[ArchitectureSpec] = Kind(
    word="architecture",
    spec_type=ArchitectureSpec,
    specs=lambda plugin: plugin.architectures,
    owner=index.architecture_owner,
    known_names=index.architecture_names,
    unknown=UnknownArchitectureError,
    open_families=True,
    matches=(_is_spelling, _is_former_spelling),
)
NECK: Kind[NeckSpec] = Kind(
    word="neck",
    spec_type=NeckSpec,
    specs=lambda plugin: plugin.necks,
    owner=index.neck_owner,
    known_names=index.neck_names,
    unknown=UnknownNeckError,
)
# smp-cli's own commands are its own to protect.
COMMAND: Kind[CommandSpec] = Kind(
    word="command",
    spec_type=CommandSpec,
    specs=lambda plugin: plugin.commands,
    owner=lambda _: None,
    known_names=lambda: (),
    unknown=UnknownCommandError,
)


def opens(kind: Kind[Any], plugin: LoadedPlugin) -> bool:
    """Whether a plugin resolves names of an open family of that kind."""
    return kind.open_families and bool(getattr(plugin.record, f"resolves_{kind.word}s"))
