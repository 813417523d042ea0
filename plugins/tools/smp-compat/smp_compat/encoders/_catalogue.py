"""The dict of encoders: those that are installed, and those that a program puts in."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import smp_core
from smp_compat._errors import NotProvidedError, UnknownNameError
from smp_compat.encoders._getting import get_encoder
from smp_compat.encoders._registered import check_entry, entries
from smp_core.plugin import EncoderSpec
from smp_core.registry import resolve_encoder


class Encoders(MutableMapping[str, dict[str, Any]]):
    """Every encoder that is installed, but those of open families (``tu-*``), and what a program has put in."""

    def __getitem__(self, name: str) -> dict[str, Any]:
        if name in entries:
            return entries[name]
        if name not in smp_core.list_encoders():
            raise UnknownNameError(f"no encoder is called {name!r}; smp_compat.encoders.get_encoder_names() lists them")
        return entry_of(resolve_encoder(name).spec)

    def __setitem__(self, name: str, entry: dict[str, Any]) -> None:
        if name in smp_core.list_encoders():
            raise NotProvidedError(
                f"encoder {name!r} is a plugin's, and its entry cannot be replaced; put yours in under another name"
            )
        entries[name] = check_entry(name, entry)

    def __delitem__(self, name: str) -> None:
        if name not in entries:
            raise NotProvidedError(
                f"only what a program has put in can be taken out; encoder {name!r} is none of these"
            )
        del entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    @staticmethod
    def _names() -> list[str]:
        return [*smp_core.list_encoders(), *entries]

    def __repr__(self) -> str:
        return f"<{len(self)} encoders>"


def entry_of(spec: EncoderSpec) -> dict[str, Any]:
    """What the dict says of an installed encoder."""
    return {
        "encoder": functools.partial(get_encoder, spec.name),
        "pretrained_settings": _settings(spec),
        "params": {"out_channels": list(spec.out_channels), **spec.options},
    }


def settings_of(name: str) -> Mapping[str, Mapping[str, Any]]:
    """What is known of the weight sets of an encoder, by their names; nothing is built.

    Raises:
        RegistryError: as `smp_core.registry.resolve_encoder`.
    """
    if name in entries:
        return entries[name].get("pretrained_settings") or {}
    return _settings(resolve_encoder(name).spec)


def _settings(spec: EncoderSpec) -> dict[str, dict[str, Any]]:
    return {
        key: {
            "repo_id": weights.repo_id,
            "revision": weights.revision,
            "input_space": weights.input_space,
            "input_range": list(weights.input_range),
            "mean": list(weights.mean),
            "std": list(weights.std),
        }
        for key, weights in spec.weights.items()
    }


def of_class(target: str) -> Mapping[str, dict[str, Any]]:
    """The entries of all installed encoders that a class builds.

    Args:
        target: as in the specs of a plugin, ``"package.module:Class"``.
    """
    return {spec.name: entry_of(spec) for spec in _installed() if spec.target == target}


@functools.cache  # every module of a family asks, when it is imported
def _installed() -> tuple[EncoderSpec, ...]:
    return tuple(resolve_encoder(name).spec for name in smp_core.list_encoders())
