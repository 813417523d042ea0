"""The doctor's examinations of names: those that several plugins have, those that are not reached, and switches."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Any

from smp_cli.plugins.findings import ERROR, WARNING, Finding, Scene
from smp_cli.plugins.installed import module_name
from smp_core._specs.registered import normalise
from smp_core.errors import NameConflictError, RegistryError
from smp_core.registry import (
    Registered,
    index,
    resolve_architecture,
    resolve_command,
    resolve_encoder,
    resolve_neck,
)

RESOLVE: dict[str, Callable[[str], Registered[Any]]] = {
    "architectures": resolve_architecture,
    "necks": resolve_neck,
    "encoders": resolve_encoder,
    "commands": resolve_command,
}
_FLAGS = ("SMP_DISABLE_PLUGIN_AUTOLOAD", "SMP_PLUGINS_STRICT")
_LISTS = ("SMP_PLUGINS", "SMP_DISABLE_PLUGINS")
_OWNERS: dict[str, Callable[[str], str | None]] = {
    "encoders": index.encoder_owner,
    "architectures": index.architecture_owner,
    "necks": index.neck_owner,
    "commands": lambda _: None,
}


def conflicting(scene: Scene) -> Iterator[Finding]:
    """Names, classes and modules that several distributions have."""
    for kind, owner in _OWNERS.items():
        word = kind.removesuffix("s")
        for name, whose in _by_name(scene, kind).items():
            if len(whose) > 1 and owner(name) is None:
                spellings = " or ".join(f"{normalise(item)}/{name}" for item in whose)
                wrong = f"the {word} {name!r} is provided by {' and '.join(whose)}"
                yield Finding(WARNING, "conflicting", None, wrong, f"write {spellings}")
    yield from _classes(scene)
    yield from _modules(scene)


def _by_name(scene: Scene, kind: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record in scene.records:
        for name in getattr(record, kind):
            found.setdefault(name, []).append(record.distribution)
    return found


def _classes(scene: Scene) -> Iterator[Finding]:
    """Checkpoints name an architecture by its class, and by more where smp-core wrote them."""
    found: dict[str, list[tuple[str, str]]] = {}
    for record in scene.records:
        for name in record.architectures:
            spec = resolve_architecture(f"{normalise(record.distribution)}/{name}").spec
            found.setdefault(spec.class_name, []).append((record.distribution, name))
    for class_name, whose in found.items():
        if len({who for who, _ in whose}) > 1:
            titles = " and ".join(f"{name!r} of {who}" for who, name in whose)
            wrong = f"checkpoints call both the architectures {titles} {class_name!r}"
            remedy = "weights saved by segmentation_models_pytorch are only found by class: tell the later author"
            yield Finding(WARNING, "conflicting", None, wrong, remedy)


def _modules(scene: Scene) -> Iterator[Finding]:
    """Two distributions of one package overwrite one another's files."""
    found: dict[str, list[str]] = {}
    for record in scene.records:
        if record.module:
            found.setdefault(module_name(record), []).append(record.distribution)
    for module, whose in found.items():
        if len({*map(normalise, whose)}) > 1:
            wrong = f"{' and '.join(whose)} both name the module {module}: one has overwritten the other"
            yield Finding(ERROR, "conflicting", None, wrong, "uninstall both, install one")


def shadowed(scene: Scene) -> Iterator[Finding]:
    """Names that mean somebody else's, so that a plugin's own is reached by its qualified name alone."""
    for record in scene.records:
        distribution = normalise(record.distribution)
        for kind, owner in _OWNERS.items():
            for name in getattr(record, kind):
                whose = owner(name) or ("smp-cli" if kind == "commands" and name in scene.commands else distribution)
                word = kind.removesuffix("s")
                if whose != distribution:
                    wrong = f"its {word} {name!r} is not reached by that name, which is {whose}'s"
                    yield Finding(WARNING, "shadowed", record.distribution, wrong, f"write {distribution}/{name}")
                for former, owners in _former_names(kind, f"{distribution}/{name}"):
                    wrong = f"its {word} {name!r} is not reached by its former name {former!r}, which is {owners}"
                    yield Finding(WARNING, "shadowed", record.distribution, wrong, "tell its author")


def _former_names(kind: str, qualified: str) -> Iterator[tuple[str, str]]:
    """The former names of a model that do not mean it, each with whose it is."""
    resolve = RESOLVE[kind]
    item = resolve(qualified)
    for former in item.spec.former_names:
        owner = _OWNERS[kind](former)
        try:
            found = resolve(former)
        except NameConflictError:
            yield former, "a name of several plugins"
        except RegistryError:  # of a distribution that is not here, or has no such name
            yield former, f"{owner}'s"
        else:
            if found.qualified_name != item.qualified_name:
                yield former, f"{found.distribution}'s"


def switches(scene: Scene) -> Iterator[Finding]:
    """Variables that name what is not installed, contradict one another, or are no switches."""
    installed = {normalise(record.distribution) for record in scene.records if record.version != "not installed"}
    named = {switch: _names(scene.environment.get(switch, "")) for switch in _LISTS}
    for switch, names in named.items():
        for name in names:
            if normalise(name) not in installed:
                wrong = f"{switch} names {name!r}, of which no plugin is installed"
                yield Finding(ERROR, "switch", None, wrong, _meant(normalise(name), [*installed]) or "drop the name")
    for name in named["SMP_PLUGINS"]:
        if normalise(name) in map(normalise, named["SMP_DISABLE_PLUGINS"]):
            wrong = f"{name!r} is in SMP_PLUGINS and in SMP_DISABLE_PLUGINS, which wins"
            yield Finding(WARNING, "switch", None, wrong, "drop it from one")
    known = (*_FLAGS, *_LISTS)
    for variable in scene.environment:
        if variable.startswith(("SMP_PLUGIN", "SMP_DISABLE")) and variable not in known:
            remedy = _meant(variable, known) or f"the switches are {', '.join(known)}"
            yield Finding(WARNING, "switch", None, f"the variable {variable} means nothing", remedy)


def _names(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _meant(name: str, known: list[str] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else ""
