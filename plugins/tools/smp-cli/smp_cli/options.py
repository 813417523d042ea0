"""Options of architectures and encoders as people read them: default, type, range, and what it is for.

Types and help come from the signature and the docstring of what builds the part, which is imported for it.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from smp_cli.console import Rows
from smp_core.errors import PluginError
from smp_core.parts.targets import load_target
from smp_core.plugin import OptionKind
from smp_core.registry import Registered

_ENTRY = re.compile(r"\*{0,2}(\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:(?:\s+(.*))?")
_SECTION = re.compile(r"\w[\w ]*:")


def option_rows(item: Registered[Any], names: Iterable[str], defaults: Mapping[str, Any]) -> Rows:
    """A row for each option: its default, its type or what it takes, and one line of help, as far as they are said.

    Args:
        item: an architecture, or an encoder.
        names: of its options.
        defaults: theirs, where the spec says them; `inspect.Parameter.empty` of those that have none.
    """
    target: Any = None
    with contextlib.suppress(PluginError):  # a plugin whose implementation does not import is shown all the same
        target = load_target(item.spec.target, item.title)
    parameters, texts = _parameters(target), _texts(target)
    return [
        (name, _row(name, defaults, parameters.get(name), item.spec.option_kinds.get(name), texts.get(name, "")))
        for name in names
    ]


def _row(
    name: str,
    defaults: Mapping[str, Any],
    parameter: inspect.Parameter | None,
    kind: OptionKind | None,
    text: str,
) -> str:
    unsaid = inspect.Parameter.empty
    default = defaults.get(name, parameter.default if parameter else unsaid)
    shown = "" if parameter is None and name not in defaults else "required" if default is unsaid else repr(default)
    takes = kind.describe() if kind else ""
    if not takes and parameter is not None and parameter.annotation not in (unsaid, "Any", Any):
        takes = inspect.formatannotation(parameter.annotation).strip("'\"")
    return "; ".join(filter(None, (shown, takes, text))) or "its values are the implementation's to judge"


def _parameters(target: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):  # nothing, or not written in Python
        return {}


def _texts(target: Any) -> dict[str, str]:
    """What the docstrings of a class, of its bases and of their constructors say of each argument, in one line."""
    found: dict[str, str] = {}
    for owner in inspect.getmro(target) if inspect.isclass(target) else filter(None, [target]):
        for documented in (owner, vars(owner).get("__init__")) if inspect.isclass(owner) else (owner,):
            if owner is not object and documented is not None and documented.__doc__:
                for name, text in _arguments(inspect.cleandoc(documented.__doc__)):
                    found.setdefault(name, _first_sentence(text))
    return found


def _arguments(docstring: str) -> Iterator[tuple[str, str]]:
    """Each argument of the section "Args:" with its text; several that share one, with that."""
    lines = docstring.splitlines()
    start = next((number for number, line in enumerate(lines) if line.strip() in ("Args:", "Arguments:")), len(lines))
    names: list[str] = []
    parts: list[str] = []
    indent = 0
    for line in [*lines[start + 1 :], "End:"]:
        depth = len(line) - len(line.lstrip())
        entry = _ENTRY.fullmatch(line.strip()) if depth and (not names or depth <= indent) else None
        ends = not depth and _SECTION.fullmatch(line.strip())
        if entry or ends:
            yield from ((name, " ".join(parts)) for name in names)
            names, parts = (re.findall(r"\w+", entry[1]), [entry[2] or ""]) if entry else ([], [])
            indent = depth
        elif names:
            parts.append(line.strip())
        if ends:
            return


def _first_sentence(text: str) -> str:
    text = " ".join(text.replace("``", "").replace("`", "").split())
    return re.split(r"(?<!al)[.](?= [A-Z]|$)", text, maxsplit=1)[0]
