"""What a name means: the rules by which it becomes a spec, and the errors where it does not."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from smp_core._specs.registered import Registered, Spec, normalise
from smp_core.errors import (
    MissingPluginError,
    NameConflictError,
    OptionError,
    RegistryError,
)
from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec
from smp_core.registry import index
from smp_core.registry.discovery import LoadedPlugin
from smp_core.registry.families import ask_resolvers, open_names
from smp_core.registry.kinds import ARCHITECTURE, ENCODER, NECK, Kind

# How distributions may be called: other things with a slash (paths, URLs) must not end in advice to pip install them.
_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


# A file that names a distribution must not have it installed on our advice.
_OF_A_FILE = " if you trust its author: the name is the file's, and installing a distribution runs its code"


class Parts(NamedTuple):
    """What the names of a model's parts mean.

    Attributes:
        architecture, encoder, neck: None for one that is not named.
        default_necks: those that may be chosen where none is named, first-party ones first.
    """

    architecture: Registered[ArchitectureSpec]
    encoder: Registered[EncoderSpec] | None
    neck: Registered[NeckSpec] | None
    default_necks: tuple[Registered[NeckSpec], ...] = ()


class Registry:
    """An immutable view of the installed plugins."""

    def __init__(self, loaded: Iterable[LoadedPlugin]) -> None:
        self.loaded = tuple(loaded)
        # Asked at every call of a fused layer, so collected once.
        self.forms = tuple(rule for plugin in self.loaded for rule in plugin.forms.values())

    def of(self, distribution: str) -> list[LoadedPlugin]:
        """The plugins of one distribution; more than one where it has several entry points."""
        name = normalise(distribution)
        return [plugin for plugin in self.loaded if normalise(plugin.record.distribution) == name]

    def providers(self, kind: Kind[Spec], name: str, within: Iterable[LoadedPlugin]) -> list[Registered[Spec]]:
        """Every plugin's spec among ``within`` that the name means: exactly, or else by another spelling."""
        within = tuple(within)
        found = [(plugin, kind.specs(plugin)[name]) for plugin in within if name in kind.specs(plugin)]
        for matches in kind.matches:
            found = found or [
                (plugin, spec) for plugin in within for spec in kind.specs(plugin).values() if matches(spec, name)
            ]
        return [Registered(spec, plugin.record.distribution, plugin.record.version) for plugin, spec in found]

    def resolve(self, kind: Kind[Spec], name: str) -> Registered[Spec]:
        """Turn a name into a spec by the rules of the design, or say why that cannot be done."""
        check_name(kind.word, name)
        if "/" in name:
            return self._resolve_qualified(kind, name)
        owner = kind.owner(name)
        if owner is not None:
            return self._resolve_owned(kind, name, owner)
        found = self.providers(kind, name, self.loaded)
        failures: list[str] = []
        if not found and kind.open_families:
            found, failures = ask_resolvers(kind, name, self.loaded)
        if len(found) == 1:
            return found[0]
        if found:
            raise self._conflict(kind, name, found)
        raise self._unknown(kind, name, failures)

    def resolve_parts(self, arch: str, encoder: str | None, neck: str | None) -> Parts:
        """See `smp_core.registry.resolve_parts`."""
        found: list[Any] = [
            None if name is None and kind is not ARCHITECTURE else self._attempt(kind, name)
            for kind, name in ((ARCHITECTURE, arch), (ENCODER, encoder), (NECK, neck))
        ]
        _raise_all(found)
        return Parts(found[0], found[1], found[2], self._default_necks())

    def _default_necks(self) -> tuple[Registered[NeckSpec], ...]:
        every = [item for item in self.registered(NECK) if item.spec.default]
        return tuple(sorted(every, key=lambda item: NECK.owner(item.spec.name) != normalise(item.distribution)))

    def _attempt(self, kind: Kind[Any], name: Any) -> Any:
        """The spec that a name means, or the error."""
        try:
            return self.resolve(kind, name)
        except (RegistryError, OptionError) as error:
            return error

    def resolve_saved(self, class_name: str, encoder: Any, recorded: Mapping[str, Mapping[str, Any]]) -> Parts:
        """See `smp_core.registry.resolve_saved`."""

        def resolve(kind: Kind[Any], name: Any) -> Any:
            """The spec of a part, or the error."""
            of_part = recorded.get(kind.word) or {}
            qualified = of_part.get("name")
            if not qualified and name is None:
                return None
            try:
                if kind is ARCHITECTURE and not qualified:
                    return self.find_class(class_name)
                return self.resolve(kind, qualified or name)
            except (RegistryError, OptionError) as error:
                if not of_part or isinstance(error, OptionError):
                    return error
                # What the file says about the plugin comes before the error, which says what to install.
                was, who, version = (of_part.get(key) for key in ("name", "distribution", "version"))
                asked, _, known = str(was).rpartition("/")
                owner = kind.owner(known)
                stranger = owner is None or asked not in ("", owner)
                # Of one that is here already nothing is advised to be installed.
                missing = isinstance(error, MissingPluginError) and not self.of(asked)
                warning = _OF_A_FILE if stranger and missing else ""
                told = type(error)(f"this model was saved with {was!r} of {who!r} {version}: {error}{warning}")
                told.__cause__ = error
                return told

        found: list[Any] = [
            resolve(ARCHITECTURE, class_name),
            None if encoder is None else resolve(ENCODER, encoder),
            resolve(NECK, None),
        ]
        _raise_all(found)
        return Parts(*found)

    def _resolve_qualified(self, kind: Kind[Spec], qualified: str) -> Registered[Spec]:
        distribution, _, name = qualified.partition("/")
        if not name or not _DISTRIBUTION.fullmatch(distribution):
            example = next(iter(kind.known_names()), None)
            raise kind.unknown(
                f"unknown {kind.word} {qualified!r}; a qualified name is '<distribution>/<name>'"
                + (f", as in '{kind.owner(example)}/{example}'" if example else "")
            )
        here = self.of(distribution)
        if not here:
            raise MissingPluginError(
                f"{kind.word} {qualified!r}: no plugin of the distribution {distribution!r} is installed; "
                f"run: pip install {distribution}"
            )
        return self._resolve_within(kind, name, here, f"{kind.word} {qualified!r}")

    def _resolve_owned(self, kind: Kind[Spec], name: str, owner: str) -> Registered[Spec]:
        here = self.of(owner)
        if here:
            return self._resolve_within(kind, name, here, f"{kind.word} {name!r}")
        others = [item.qualified_name for item in self.providers(kind, name, self.loaded)]
        also = f" (other plugins have one of that name: {', '.join(map(repr, others))})" if others else ""
        raise MissingPluginError(
            f"{kind.word} {name!r} is provided by {owner}, which is not installed; run: pip install {owner}{also}"
        )

    def _resolve_within(self, kind: Kind[Spec], name: str, here: list[LoadedPlugin], title: str) -> Registered[Spec]:
        """Resolve a name that only the plugins of one distribution may answer."""
        found = self.providers(kind, name, here)
        failures: list[str] = []
        if not found and kind.open_families:
            found, failures = ask_resolvers(kind, name, here)
        if len(found) == 1:
            return found[0]
        if found:
            raise self._conflict(kind, name, found)
        record = here[0].record
        problems = failures + [
            item.record.error
            for item in here
            if item.record.status in ("broken", "disabled", "partial") and item.record.error
        ]
        if problems:
            raise MissingPluginError(
                f"{title}: {record.distribution} is installed, but unusable: {'; '.join(problems)}"
            )
        names = [known for plugin in here for known in kind.specs(plugin)]
        names += open_names(kind, here)
        raise kind.unknown(
            f"{title}: {record.distribution} {record.version} does not provide it; "
            f"{_suggest(name, names, 'it provides')}\n"
            f"Perhaps a newer version does: pip install -U {record.distribution}"
        )

    def open_specs(self, kind: Kind[Spec]) -> dict[str, Registered[Spec]]:
        """What the names of open families mean, by names as short as they can be; without those that mean nothing."""
        found: dict[str, Registered[Spec]] = {}
        for plugin in self.loaded:
            who = plugin.record.distribution
            for name in open_names(kind, [plugin]):
                for spelling in (name, f"{normalise(who)}/{name}"):
                    with contextlib.suppress(RegistryError):
                        item = self.resolve(kind, spelling)
                        if item.distribution == who:
                            found[spelling] = item
                            break
        return found

    def _conflict(self, kind: Kind[Spec], name: str, found: list[Registered[Spec]]) -> NameConflictError:
        who = "\n".join(f"  {item.distribution} {item.version}: write {item.qualified_name!r}" for item in found)
        return NameConflictError(f"{kind.word} {name!r} is provided by {len(found)} plugins:\n{who}")

    def _unknown(self, kind: Kind[Spec], name: str, failures: list[str]) -> RegistryError:
        installed: list[str] = [item.spec.name for item in self.registered(kind)]
        names = [*installed, *kind.known_names()]
        # Of an open family's many names those that only lack what they begin with.
        names += [item for item in open_names(kind, self.loaded) if name.casefold() in item.casefold()]
        lines = [f"unknown {kind.word} {name!r}; {_suggest(name, names, 'installed are')}"]
        records = [item.record for item in self.loaded]
        broken: list[str] = [record.error or "" for record in records if record.status in ("broken", "partial")]
        if broken or failures:
            lines.append("Plugins that failed, one of which may provide it:")
            # Of many each is cut: smp_core.plugins() tells all of it.
            room = max(3000 // (len(broken) + len(failures)), 100)
            lines.extend(f"  {line if len(line) <= room else f'{line[:room]}...'}" for line in (*broken, *failures))
        return kind.unknown("\n".join(lines))

    def is_known(self, kind: Kind[Spec], name: str) -> bool:
        """Whether a name, not qualified, is owned by a first-party distribution or listed by a plugin."""
        return kind.owner(name) is not None or bool(self.providers(kind, name, self.loaded))

    def find_class(self, class_name: str) -> Registered[ArchitectureSpec]:
        """The architecture whose checkpoints carry a class name (``"Unet"``).

        The class names of first-party architectures belong to their distributions, as their names do.
        """
        exact = [item for item in self.registered(ARCHITECTURE) if item.spec.class_name == class_name]
        if not exact or index.architecture_owner(class_name) is not None:
            return self.resolve(ARCHITECTURE, class_name.lower())
        if len(exact) > 1:
            names = ", ".join(item.qualified_name for item in exact)
            raise NameConflictError(f"model class {class_name!r} is provided by several plugins: {names}")
        return exact[0]

    def names(self, kind: Kind[Spec], keep: Callable[[Registered[Spec]], bool]) -> list[str]:
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

    def registered(self, kind: Kind[Spec]) -> list[Registered[Spec]]:
        """Every spec of a kind with its distribution."""
        return [
            Registered(spec, plugin.record.distribution, plugin.record.version)
            for plugin in self.loaded
            for spec in kind.specs(plugin).values()
        ]


def _raise_all(found: Iterable[Any]) -> None:
    """Raise the errors among what was found as one, of the type of the first."""
    errors = [item for item in found if isinstance(item, Exception)]
    if errors:
        raise errors[0] if len(errors) == 1 else type(errors[0])("\n".join(map(str, errors))) from errors[0]


def check_name(word: str, name: object) -> None:
    if not isinstance(name, str):
        article = "an" if word[0] in "aeiou" else "a"
        raise OptionError(f"expected the name of {article} {word} as a str, got {type(name).__name__}: {name!r}")


def _suggest(name: str, names: Iterable[str], otherwise: str) -> str:
    names = list(dict.fromkeys(names))
    folded = {known.casefold(): known for known in names}
    close = [folded[item] for item in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)]
    # A part of a name, the shortest first; of a few letters it says nothing.
    parts = [known for known in sorted(names, key=len) if len(name) > 3 and name.casefold() in known.casefold()]
    close = list(dict.fromkeys([*parts[:3], *close]))[:3]
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"{otherwise} {shown or 'none'}"
