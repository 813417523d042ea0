"""From names to specs: what is installed, who provides what, and what a name means.

Importing this module discovers the installed plugins. It imports neither torch nor any plugin's implementation.
The registry is a value: `refresh` builds a new one, and nothing writes into an existing one.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from smp_core import _index
from smp_core._discovery import FAILURES, LoadedPlugin, PluginRecord, Settings, discover
from smp_core._metadata import normalise
from smp_core.compatibility import Compatibility, compare
from smp_core.errors import (
    MissingPluginError,
    NameConflictError,
    OptionError,
    RegistryError,
    UnknownArchitectureError,
    UnknownEncoderError,
)
from smp_core.plugin import ArchitectureSpec, EncoderSpec

__all__ = [
    "PluginRecord",
    "Registered",
    "compatible",
    "describe",
    "list_architectures",
    "list_encoders",
    "plugins",
    "refresh",
    "resolve_architecture",
    "resolve_encoder",
]

# How distributions may be called: other things with a slash (paths, URLs) must not end in advice to pip install them.
_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")

Spec = TypeVar("Spec", EncoderSpec, ArchitectureSpec)


@dataclass(frozen=True)
class Registered(Generic[Spec]):
    """A spec and the distribution that registered it."""

    spec: Spec
    distribution: str
    version: str

    @property
    def qualified_name(self) -> str:
        """``"<distribution>/<name>"``, which means this spec whatever else is installed."""
        return f"{normalise(self.distribution)}/{self.spec.name}"


@dataclass(frozen=True)
class _Kind(Generic[Spec]):
    """What differs between resolving an encoder and resolving an architecture."""

    word: str
    specs: Callable[[LoadedPlugin], Mapping[str, Spec]]
    owner: Callable[[str], str | None]
    known_names: Callable[[], tuple[str, ...]]
    unknown: type[RegistryError]
    open_families: bool


_ENCODER: _Kind[EncoderSpec] = _Kind(
    "encoder", lambda plugin: plugin.encoders, _index.encoder_owner, _index.encoder_names, UnknownEncoderError, True
)
_ARCHITECTURE: _Kind[ArchitectureSpec] = _Kind(
    "architecture",
    lambda plugin: plugin.architectures,
    _index.architecture_owner,
    _index.architecture_names,
    UnknownArchitectureError,
    False,
)


class Registry:
    """An immutable view of the installed plugins."""

    def __init__(self, loaded: Iterable[LoadedPlugin]) -> None:
        self.loaded = tuple(loaded)

    def of(self, distribution: str) -> list[LoadedPlugin]:
        """The plugins of one distribution; more than one where it has several entry points."""
        name = normalise(distribution)
        return [plugin for plugin in self.loaded if normalise(plugin.record.distribution) == name]

    def providers(self, kind: _Kind[Spec], name: str, within: Iterable[LoadedPlugin]) -> list[Registered[Spec]]:
        """Every plugin among ``within`` that lists the name."""
        return [
            Registered(kind.specs(plugin)[name], plugin.record.distribution, plugin.record.version)
            for plugin in within
            if name in kind.specs(plugin)
        ]

    def resolve(self, kind: _Kind[Spec], name: str) -> Registered[Spec]:
        """Turn a name into a spec by the rules of the design, or say why that cannot be done."""
        _check_name(kind.word, name)
        if "/" in name:
            return self._resolve_qualified(kind, name)
        owner = kind.owner(name)
        if owner is not None:
            return self._resolve_owned(kind, name, owner)
        found = self.providers(kind, name, self.loaded)
        failures: list[str] = []
        if not found and kind.open_families:
            found, failures = self._ask_resolvers(name, self.loaded)  # type: ignore[assignment]
        if len(found) == 1:
            return found[0]
        if found:
            raise self._conflict(kind, name, found)
        raise self._unknown(kind, name, failures)

    def _resolve_qualified(self, kind: _Kind[Spec], qualified: str) -> Registered[Spec]:
        distribution, _, name = qualified.partition("/")
        if not name or not _DISTRIBUTION.fullmatch(distribution):
            example = kind.known_names()[0]
            raise kind.unknown(
                f"unknown {kind.word} {qualified!r}; a qualified name is '<distribution>/<name>', "
                f"as in '{kind.owner(example)}/{example}'"
            )
        here = self.of(distribution)
        if not here:
            raise MissingPluginError(
                f"{kind.word} {qualified!r}: no plugin of the distribution {distribution!r} is installed; "
                f"run: pip install {distribution}"
            )
        return self._resolve_within(kind, name, here, f"{kind.word} {qualified!r}")

    def _resolve_owned(self, kind: _Kind[Spec], name: str, owner: str) -> Registered[Spec]:
        here = self.of(owner)
        if here:
            return self._resolve_within(kind, name, here, f"{kind.word} {name!r}")
        others = [item.qualified_name for item in self.providers(kind, name, self.loaded)]
        also = f" (other plugins have one of that name: {', '.join(map(repr, others))})" if others else ""
        raise MissingPluginError(
            f"{kind.word} {name!r} is provided by {owner}, which is not installed; run: pip install {owner}{also}"
        )

    def _resolve_within(self, kind: _Kind[Spec], name: str, here: list[LoadedPlugin], title: str) -> Registered[Spec]:
        """Resolve a name that only the plugins of one distribution may answer."""
        found = self.providers(kind, name, here)
        failures: list[str] = []
        if not found and kind.open_families:
            found, failures = self._ask_resolvers(name, here)  # type: ignore[assignment]
        if found:
            return found[0]
        record = here[0].record
        problems = failures + [
            item.record.error for item in here if item.record.status in ("broken", "disabled") and item.record.error
        ]
        if problems:
            raise MissingPluginError(
                f"{title}: {record.distribution} is installed, but unusable: {'; '.join(problems)}"
            )
        names = [known for plugin in here for known in kind.specs(plugin)]
        raise kind.unknown(
            f"{title}: {record.distribution} {record.version} does not provide it; "
            f"{_suggest(name, names, 'it provides')}\n"
            f"Perhaps a newer version does: pip install -U {record.distribution}"
        )

    def _ask_resolvers(
        self, name: str, within: Iterable[LoadedPlugin]
    ) -> tuple[list[Registered[EncoderSpec]], list[str]]:
        """Ask each plugin's resolver alone; one that raises or answers nonsense becomes a line in the failures."""
        found: list[Registered[EncoderSpec]] = []
        failures = []
        for plugin in within:
            if plugin.manager is None or not plugin.record.resolves_encoders:
                continue
            record = plugin.record
            who = f"plugin {record.distribution!r} {record.version}: hook 'smp_resolve_encoder'"
            try:
                answers = plugin.manager.hook.smp_resolve_encoder(name=name)
            except FAILURES as error:
                failures.append(f"{who} raised {type(error).__name__}: {error}")
                continue
            for spec in answers:
                if isinstance(spec, EncoderSpec) and spec.name == name:
                    found.append(Registered(spec, record.distribution, record.version))
                else:
                    failures.append(f"{who} returned {spec!r}; expected None or an EncoderSpec named {name!r}")
        return found, failures

    def _conflict(self, kind: _Kind[Spec], name: str, found: list[Registered[Spec]]) -> NameConflictError:
        who = "\n".join(f"  {item.distribution} {item.version}: write {item.qualified_name!r}" for item in found)
        return NameConflictError(f"{kind.word} {name!r} is provided by {len(found)} plugins:\n{who}")

    def _unknown(self, kind: _Kind[Spec], name: str, failures: list[str]) -> RegistryError:
        installed: list[str] = [item.spec.name for item in self.registered(kind)]
        lines = [f"unknown {kind.word} {name!r}; {_suggest(name, [*installed, *kind.known_names()], 'installed are')}"]
        broken: list[str] = [plugin.record.error or "" for plugin in self.loaded if plugin.record.status == "broken"]
        if broken or failures:
            lines.append("Plugins that failed, one of which may provide it:")
            lines.extend(f"  {line}" for line in (*broken, *failures))
        return kind.unknown("\n".join(lines))

    def names(self, kind: _Kind[Spec], keep: Callable[[Registered[Spec]], bool]) -> list[str]:
        """The names of all registered specs that pass, each as short as it can be without meaning another spec."""
        everything = self.registered(kind)
        times: dict[str, int] = {}
        for item in everything:
            times[item.spec.name] = times.get(item.spec.name, 0) + 1
        names = []
        for item in filter(keep, everything):
            owner = kind.owner(item.spec.name)
            plain = owner == normalise(item.distribution) if owner is not None else times[item.spec.name] == 1
            names.append(item.spec.name if plain else item.qualified_name)
        return sorted(names)

    def registered(self, kind: _Kind[Spec]) -> list[Registered[Spec]]:
        """Every spec of a kind with its distribution."""
        return [
            Registered(spec, plugin.record.distribution, plugin.record.version)
            for plugin in self.loaded
            for spec in kind.specs(plugin).values()
        ]


def _check_name(word: str, name: object) -> None:
    if not isinstance(name, str):
        raise OptionError(f"expected the name of an {word} as a str, got {type(name).__name__}: {name!r}")


def _suggest(name: str, names: Iterable[str], otherwise: str) -> str:
    names = list(dict.fromkeys(names))
    folded = {known.casefold(): known for known in names}
    close = [folded[item] for item in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)]
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"{otherwise} {shown or 'none'}"


_registry = Registry(discover(Settings.from_environment()))


def refresh() -> None:
    """Look for plugins again, after one was installed or removed in this process, or a switch was changed.

    A module that is imported already is not imported again: after an upgrade, restart the process.
    """
    global _registry
    importlib.invalidate_caches()
    _registry = Registry(discover(Settings.from_environment()))


def plugins() -> list[PluginRecord]:
    """Every plugin found, those that are broken or disabled included, in the order of their distribution names."""
    return [plugin.record for plugin in _registry.loaded]


def loaded_plugins() -> tuple[LoadedPlugin, ...]:
    """The plugins with their managers, for the factory to call hooks on each alone."""
    return _registry.loaded


def resolve_encoder(name: str) -> Registered[EncoderSpec]:
    """The spec that an encoder name means.

    Raises:
        MissingPluginError: the distribution that owns the name is not installed, disabled or broken.
        NameConflictError: several plugins provide it.
        UnknownEncoderError: nobody does; names close matches and every plugin that failed to load.
    """
    return _registry.resolve(_ENCODER, name)


def resolve_architecture(name: str) -> Registered[ArchitectureSpec]:
    """The spec that an architecture name means; raises as `resolve_encoder`, with `UnknownArchitectureError`."""
    return _registry.resolve(_ARCHITECTURE, name)


def find_class(class_name: str) -> list[Registered[ArchitectureSpec]]:
    """The architectures whose checkpoints carry this class name (``"Unet"``)."""
    return [item for item in _registry.registered(_ARCHITECTURE) if item.spec.class_name == class_name]


_CAPABILITIES: dict[str, Callable[[Any], bool]] = {
    "dilation": lambda spec: bool(spec.dilation),
    "tokens": lambda spec: spec.tokens,
    "scriptable": lambda spec: spec.scriptable,
}


def _filter(provider: str | None, capability: str | None, license: str | None) -> Callable[[Registered[Any]], bool]:
    if capability is not None and capability not in _CAPABILITIES:
        raise OptionError(f"unknown capability {capability!r}; expected one of {', '.join(_CAPABILITIES)}")

    def keep(item: Registered[Any]) -> bool:
        return (
            (provider is None or normalise(provider) == normalise(item.distribution))
            and (capability is None or _CAPABILITIES[capability](item.spec))
            and (license is None or (item.spec.license or "").casefold() == license.casefold())
        )

    return keep


def list_encoders(
    *,
    provider: str | None = None,
    weights: str | bool | None = None,
    capability: str | None = None,
    license: str | None = None,
) -> list[str]:
    """Names of the installed encoders, sorted; each can be given to `create`.

    A name that several plugins provide, or that belongs to another distribution, appears in its qualified spelling.
    Open families (``tu-*``) are not listed: their names are resolved, not enumerated.

    Args:
        provider: only those of this distribution.
        weights: True for those with any pretrained weights, False for those without, or the name of a weight set.
        capability: ``"dilation"``, ``"tokens"`` or ``"scriptable"``.
        license: SPDX identifier of the code.

    Raises:
        OptionError: an unknown capability.
    """
    keep = _filter(provider, capability, license)

    def has_weights(item: Registered[EncoderSpec]) -> bool:
        if weights is None:
            return True
        return weights in item.spec.weights if isinstance(weights, str) else bool(item.spec.weights) is weights

    return _registry.names(_ENCODER, lambda item: keep(item) and has_weights(item))


def list_architectures(
    *, provider: str | None = None, capability: str | None = None, license: str | None = None
) -> list[str]:
    """Names of the installed architectures, sorted; arguments and errors as for `list_encoders`."""
    return _registry.names(_ARCHITECTURE, _filter(provider, capability, license))


def describe(name: str) -> Registered[Any]:
    """The spec of an encoder or architecture, and who provides it.

    Args:
        name: name or qualified name; one that is both means the architecture.

    Raises:
        RegistryError: as `resolve_encoder` and `resolve_architecture`.
    """
    _check_name("encoder or architecture", name)
    known = {item.spec.name for item in _registry.registered(_ARCHITECTURE)} | {*_index.architecture_names()}
    if name.rpartition("/")[2] in known:
        try:
            return resolve_architecture(name)
        except LookupError:
            # A plugin may have an encoder of a name that is elsewhere an architecture's.
            with contextlib.suppress(RegistryError):
                return resolve_encoder(name)
            raise
    try:
        return resolve_encoder(name)
    except UnknownEncoderError as error:
        close = difflib.get_close_matches(name.casefold(), known, n=2)
        if not close:
            raise
        raise UnknownEncoderError(f"{error}\nOr the architecture {' or '.join(map(repr, close))}?") from None


def compatible(
    arch: str, encoder: str, *, encoder_depth: int | None = None, encoder_output_stride: int | None = None
) -> Compatibility:
    """Whether an architecture takes an encoder: ``bool(answer)``, and ``answer.reasons`` where it does not.

    Raises:
        RegistryError: one of the names means nothing, or too much.
    """
    return compare(resolve_architecture(arch).spec, resolve_encoder(encoder).spec, encoder_depth, encoder_output_stride)
