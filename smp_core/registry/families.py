"""Open families: names that plugins resolve, and do not list."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from smp_core._specs.registered import Registered, Spec
from smp_core.errors import FAILURES
from smp_core.registry.discovery import LoadedPlugin
from smp_core.registry.kinds import Kind, opens


def ask_resolvers(
    kind: Kind[Spec], name: str, within: Iterable[LoadedPlugin]
) -> tuple[list[Registered[Spec]], list[str]]:
    """Ask each plugin's resolver alone; one that raises or answers nonsense becomes a line in the failures.

    Raises:
        RegistryError: no plugin knows the name, and one of whose family it is says why it means nothing.
    """
    found: list[Registered[Spec]] = []
    failures = []
    refusals = []
    answer: Any
    for plugin in within:
        if plugin.manager is None or not opens(kind, plugin):
            continue
        record = plugin.record
        who = f"plugin {record.distribution!r} {record.version}: hook 'smp_resolve_{kind.word}'"
        try:
            answers = getattr(plugin.manager.hook, f"smp_resolve_{kind.word}")(name=name)
        except kind.unknown as error:  # a name of the family, and why it means nothing
            refusals.append(str(error))
            continue
        except FAILURES as error:
            failures.append(f"{who} raised {type(error).__name__}: {error}")
            continue
        for answer in answers:
            if isinstance(answer, kind.spec_type) and name in (answer.name, *answer.former_names):
                found.append(Registered(answer, record.distribution, record.version))
            else:
                article = "an" if kind.spec_type.__name__[0] in "AE" else "a"
                expected = f"{article} {kind.spec_type.__name__} named {name!r}"
                failures.append(f"{who} returned {answer!r}; expected None or {expected}")
    if refusals and not found:
        refused = kind.unknown(f"unknown {kind.word} {name!r}; {'; '.join(refusals)}")
        refused.explained = True
        raise refused
    return found, failures


def open_names(kind: Kind[Spec], within: Iterable[LoadedPlugin]) -> list[str]:
    """The names that plugins resolve and can count; of a plugin that raises or answers nonsense, none."""
    names: dict[str, None] = {}
    for plugin in within:
        if plugin.manager is None or not opens(kind, plugin):
            continue
        with contextlib.suppress(*FAILURES):
            for answer in getattr(plugin.manager.hook, f"smp_{kind.word}_names")():
                if not isinstance(answer, str):  # whose items are letters
                    names.update(dict.fromkeys(item for item in answer if isinstance(item, str)))
    return list(names)
