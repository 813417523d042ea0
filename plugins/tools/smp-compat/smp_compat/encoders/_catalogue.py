"""The dict of encoders: those that are installed, and those that a program puts in."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from torch import nn

import smp_core
from smp_compat._errors import NotProvidedError, UnknownNameError
from smp_compat.encoders._getting import get_encoder
from smp_compat.encoders._order import PLACES
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
        installed = smp_core.list_encoders()
        return [*sorted(installed, key=lambda name: PLACES.get(name, len(PLACES))), *entries]

    def __repr__(self) -> str:
        return f"<{len(self)} encoders>"


def entry_of(spec: EncoderSpec) -> dict[str, Any]:
    """What the dict says of an installed encoder."""
    maker = MakerOf(spec)
    return {"encoder": maker, "pretrained_settings": ReadOnly(_settings(spec)), "params": copy.deepcopy(maker.params)}


class MakerOf:
    """What stands for the class of an installed encoder in its entry: called with the entry's ``params`` and more."""

    def __init__(self, spec: EncoderSpec) -> None:
        self.name = spec.name
        self.params = {"out_channels": list(spec.out_channels), **spec.options}
        self.__name__ = spec.name

    def __call__(
        self,
        in_channels: int = 3,
        depth: int = 5,
        weights: str | None = None,
        output_stride: int = 32,
        **params: Any,
    ) -> nn.Module:
        """Build it; see `smp_compat.encoders.get_encoder`.

        Raises:
            NotProvidedError: one of its ``params`` has another value: that would be another encoder.
        """
        for key in self.params.keys() & params.keys():
            value = params.pop(key)
            if _as_list(value) != _as_list(self.params[key]):
                raise NotProvidedError(
                    f"encoder {self.name!r} is built as it is: {key}={value!r} would be another one; "
                    "register a class of your own for it"
                )
        return get_encoder(self.name, in_channels, depth, weights, output_stride, **params)

    def __repr__(self) -> str:
        return f"<makes {self.name}>"


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


class ReadOnly(dict[str, Any]):
    """The weight sets of an installed encoder: a copy is the program's own, this is the plugin's."""

    def __setitem__(self, name: str, value: Any) -> None:
        raise NotProvidedError(
            f"pretrained_settings[{name!r}]: the weight sets of an installed encoder are its plugin's; load weights of "
            "your own with encoder_weights=<a file, a folder or 'hf-hub:owner/name'>"
        )

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        return copy.deepcopy(dict(self), memo)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


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
