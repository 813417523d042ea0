"""Every use of the library in a program, however it was imported. The program is read, never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from smp_cli.move.bindings import (
    NEW,
    OLD,
    Bindings,
    below_root,
    imported_module,
    is_star,
    names_that_matter,
)
from smp_cli.move.program import Program
from smp_cli.move.scopes import Collector, Read, attributes, bound_name, last_name
from smp_cli.move.surface import FORMER_MODULES, moved, public_names

_FROM = re.compile(r"from(?:\s|\\\n)+")
_BY_STRING = ("import_module", "__import__")


@dataclass(frozen=True)
class Use:
    """A use of the library.

    Attributes:
        name: what is used, below the package: ``losses.DiceLoss``; empty for the package itself.
        node: the reference, or the whole call or subscript where the reference is what is called or subscripted; the
            alias of an import where nothing else uses it.
        line: of the program, from 1.
        column: from 0.
        stored: whether it is assigned to, or deleted.
        role: see `smp_cli.move.scopes.Read`.
        in_string: whether it stands in a formatted string.
    """

    name: str
    node: ast.expr | ast.alias
    line: int
    column: int
    stored: bool = False
    role: str = ""
    in_string: bool = False


class Root(NamedTuple):
    """Where the library's name stands in an import (line from 1, column from 0), and what it becomes."""

    line: int
    column: int
    old: str
    new: str


@dataclass(frozen=True)
class Import:
    """A statement that imports from the library.

    Attributes:
        node: the statement.
        line: of the program, from 1.
        roots: where the library's name stands in it; none where it is today's already.
        former: modules in it that were moved before segmentation_models_pytorch 0.2, and are not rewritten.
    """

    node: ast.Import | ast.ImportFrom
    line: int
    roots: tuple[Root, ...]
    former: tuple[str, ...] = ()


@dataclass
class Found:
    """What a program has of the library.

    Attributes:
        dynamic: imports of modules by a string: the name, the call, and the line.
    """

    program: Program
    uses: list[Use] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    dynamic: list[tuple[str, ast.Call, int]] = field(default_factory=list)


def find(code: str) -> Found:
    """Find the uses in a program, in the order of its lines.

    Raises:
        UnreadableError: it does not parse.
    """
    program = Program.read(code)
    found = Found(program, imports=[*_imports(program)])
    if not found.imports and f'"{OLD}' not in code and f"'{OLD}" not in code:
        return found
    stars = {}
    for item in found.imports:
        if isinstance(item.node, ast.ImportFrom) and is_star(item.node):
            module = imported_module(item.node) or ""
            stars[module] = public_names(below_root(module) or "")
    collector = Collector(names_that_matter(program.tree, stars))
    collector.collect(program.tree)
    bindings = Bindings(stars, collector.sources)
    used: set[str] = set()
    for read in collector.reads:
        meaning = bindings.meaning(read)
        if meaning is not None:
            used.add(read.name.id)
            found.uses.append(_use(program, read, meaning))
    found.uses += _unused(program, found.imports, used)
    found.uses.sort(key=lambda use: (use.line, use.column))
    found.dynamic = [*_dynamic(collector.calls)]
    return found


def _use(program: Program, read: Read, meaning: str) -> Use:
    name = below_root(".".join([meaning, *attributes(read.reference)])) or ""
    stored = isinstance(getattr(read.node, "ctx", None), ast.Store | ast.Del)
    line, column = program.line_and_column(program.place(read.reference))
    return Use(name, read.node, line, column, stored, read.role, read.in_string)


def _unused(program: Program, imports: list[Import], used: set[str]) -> Iterator[Use]:
    """Names that are imported and not used in the program: others may import them from it."""
    for item in imports:
        if not isinstance(item.node, ast.ImportFrom) or is_star(item.node):
            continue
        module = below_root(imported_module(item.node) or "")
        for alias in item.node.names:
            if bound_name(alias) not in used:
                place = program.line_and_column(program.place(alias))
                yield Use(f"{module}.{alias.name}".lstrip("."), alias, *place)


def _dynamic(calls: list[ast.Call]) -> Iterator[tuple[str, ast.Call, int]]:
    for call in calls:
        if last_name(call.func) not in _BY_STRING or not call.args or not isinstance(call.args[0], ast.Constant):
            continue
        value = call.args[0].value
        if isinstance(value, str) and below_root(value) is not None:
            yield value, call, call.lineno


def _imports(program: Program) -> Iterator[Import]:
    """The imports of the library."""
    for node in ast.walk(program.tree):
        if isinstance(node, ast.Import):
            ours = [alias for alias in node.names if below_root(alias.name) is not None]
            roots = [_root(program, program.place(alias), alias.name, _plain(alias)) for alias in ours]
            former = [alias.name for alias in ours if alias.asname is None and moved(below_root(alias.name) or "")]
        elif isinstance(node, ast.ImportFrom) and imported_module(node) is not None:
            ours = node.names
            roots, former = _from(program, node)
        else:
            continue
        if ours:
            found = tuple(root for root in roots if root is not None)
            yield Import(node, node.lineno, found, tuple(former))


def _from(program: Program, node: ast.ImportFrom) -> tuple[list[Root | None], list[str]]:
    """What becomes of ``from module import names``, and which of the names are modules that must be moved by hand."""
    begin = _FROM.match(program.code, program.place(node))
    assert begin is not None
    assert node.module is not None
    former = [alias.name for alias in node.names if node.module in (OLD, NEW) and alias.name in FORMER_MODULES]
    if former and len(former) == len(node.names) and all(moved(name) == f"decoders.{name}" for name in former):
        return [_root(program, begin.end(), node.module, f"{NEW}.decoders")], []
    return [_root(program, begin.end(), node.module, NEW)], [f"{node.module}.{name}" for name in former]


def _root(program: Program, place: int, name: str, new: str) -> Root | None:
    """The library's name at a place, with a module behind it that has another name today."""
    if name.partition(".")[0] != OLD:
        return None
    below = name.partition(".")[2]
    first = next((former for former in FORMER_MODULES if f"{below}.".startswith(f"{former}.")), "")
    old = f"{OLD}.{first}" if first else OLD
    if first and program.code.startswith(old, place):
        return Root(*program.line_and_column(place), old, f"{new}.{FORMER_MODULES[first]}")
    return Root(*program.line_and_column(place), OLD, new)


def _plain(alias: ast.alias) -> str:
    """What the library's name becomes in an ``import`` without from: whatever the program calls it keeps its name.

    ``import segmentation_models_pytorch.losses`` binds the package and imports the module, so both are imported.
    """
    if alias.asname is not None:
        return NEW
    whole = f"{NEW} as {OLD}"
    return f"{whole}, {NEW}" if "." in alias.name else whole
