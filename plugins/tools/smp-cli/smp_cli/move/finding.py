"""Every use of the library in a program, however it was imported. The program is read, never run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import libcst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import (
    ExpressionContext,
    ExpressionContextProvider,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    ScopeProvider,
)

from smp_cli.move.bindings import OLD, Bindings, below_root, bound_name, imported_module
from smp_cli.move.parsing import deeply, parse
from smp_cli.move.surface import public_names


@dataclass(frozen=True)
class Use:
    """A use of the library.

    Attributes:
        name: what is used, below the package: ``losses.DiceLoss``; empty for the package itself.
        node: the reference, or the whole call or subscript where the reference is what is called or subscripted.
        reference: the reference alone.
        line: of the program, from 1.
        column: from 0.
        stored: whether it is assigned to, or deleted.
    """

    name: str
    node: libcst.CSTNode
    reference: libcst.CSTNode
    line: int
    column: int
    stored: bool = False


@dataclass(frozen=True)
class Import:
    """A statement that imports from the library.

    Attributes:
        node: the statement.
        line: of the program, from 1.
        roots: where the library's name stands in it, and what it becomes; none where it is today's already.
    """

    node: libcst.Import | libcst.ImportFrom
    line: int
    roots: tuple[tuple[int, int, str], ...]


@dataclass
class Found:
    """What a program has of the library.

    Attributes:
        dynamic: imports of modules by a string: the name and the line.
    """

    module: libcst.Module
    uses: list[Use] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    dynamic: list[tuple[str, libcst.Call, int]] = field(default_factory=list)


def find(code: str) -> Found:
    """Find the uses in a program, in the order of its lines.

    Raises:
        UnreadableError: it does not parse.
    """
    return deeply(lambda: _find(code))


def _find(code: str) -> Found:
    # A tree that the parser made has no node twice, so that it need not be copied.
    wrapper = MetadataWrapper(parse(code), unsafe_skip_copy=True)
    imports = _Imports(wrapper)
    wrapper.module.visit(imports)
    found = Found(wrapper.module, imports=imports.found)
    if not imports.found and f'"{OLD}' not in code and f"'{OLD}" not in code:
        return found
    uses = _Uses(wrapper, imports)
    wrapper.module.visit(uses)
    found.uses, found.dynamic = [*uses.found, *uses.unused()], uses.dynamic
    found.uses.sort(key=lambda use: (use.line, use.column))
    return found


class _Imports(libcst.CSTVisitor):
    """The imports of the library."""

    def __init__(self, wrapper: MetadataWrapper) -> None:
        super().__init__()
        self.positions = wrapper.resolve(PositionProvider)
        self.found: list[Import] = []
        self.stars: dict[str, frozenset[str]] = {}

    def visit_Import(self, node: libcst.Import) -> None:  # noqa: N802
        ours = [alias for alias in node.names if below_root(get_full_name_for_node(alias.name) or "") is not None]
        if ours:
            self._add(node, [root for alias in ours for root in self._roots(alias.name, _plain_import(alias))])

    def visit_ImportFrom(self, node: libcst.ImportFrom) -> None:  # noqa: N802
        module = imported_module(node)
        if module is None:
            return
        assert node.module is not None
        self._add(node, [*self._roots(node.module, "smp_compat")])
        if isinstance(node.names, libcst.ImportStar):
            self.stars[module] = public_names(below_root(module) or "")

    def _add(self, node: libcst.Import | libcst.ImportFrom, roots: list[tuple[int, int, str]]) -> None:
        self.found.append(Import(node, self.positions[node].start.line, tuple(roots)))

    def _roots(self, name: libcst.BaseExpression, new: str) -> Iterator[tuple[int, int, str]]:
        while isinstance(name, libcst.Attribute):
            name = name.value
        if isinstance(name, libcst.Name) and name.value == OLD:
            start = self.positions[name].start
            yield start.line, start.column, new


def _plain_import(alias: libcst.ImportAlias) -> str:
    """What the library's name becomes in an ``import`` without from: whatever the program calls it keeps its name.

    ``import segmentation_models_pytorch.losses`` binds the package and imports the module, so both are imported.
    """
    if alias.asname is not None:
        return "smp_compat"
    whole = f"smp_compat as {OLD}"
    return f"{whole}, smp_compat" if isinstance(alias.name, libcst.Attribute) else whole


class _Uses(libcst.CSTVisitor):
    """The references to what was imported."""

    def __init__(self, wrapper: MetadataWrapper, imports: _Imports) -> None:
        super().__init__()
        self.imports = imports
        self.positions = imports.positions
        self.parents = wrapper.resolve(ParentNodeProvider)
        self.contexts = wrapper.resolve(ExpressionContextProvider)
        self.bindings = Bindings(wrapper.resolve(ScopeProvider), self.positions, self.parents, imports.stars)
        self.found: list[Use] = []
        self.dynamic: list[tuple[str, libcst.Call, int]] = []
        self.used: set[str] = set()

    def visit_Import(self, node: libcst.Import) -> bool:  # noqa: N802, ARG002
        return False

    def visit_ImportFrom(self, node: libcst.ImportFrom) -> bool:  # noqa: N802, ARG002
        return False

    def visit_Attribute(self, node: libcst.Attribute) -> bool:  # noqa: N802
        first: Any = node
        while isinstance(first, libcst.Attribute):
            first = first.value
        if not isinstance(first, libcst.Name):
            return True
        self._consider(first, node)
        return False

    def visit_Name(self, node: libcst.Name) -> None:  # noqa: N802
        if self.contexts.get(node) is ExpressionContext.LOAD:
            self._consider(node, node)

    def visit_Call(self, node: libcst.Call) -> None:  # noqa: N802
        called = (get_full_name_for_node(node.func) or "").rpartition(".")[2]
        if called not in ("import_module", "__import__") or not node.args:
            return
        name = node.args[0].value
        value = name.evaluated_value if isinstance(name, libcst.SimpleString) else None
        if isinstance(value, str) and below_root(value) is not None:
            self.dynamic.append((value, node, self.positions[node].start.line))

    def _consider(self, first: libcst.Name, node: libcst.Name | libcst.Attribute) -> None:
        meaning = self.bindings.meaning(first)
        if meaning is None:
            return
        self.used.add(first.value)
        after = (get_full_name_for_node(node) or "")[len(first.value) :]
        start, whole = self.positions[node].start, self._whole(node)
        stored = self.contexts.get(whole) in (ExpressionContext.STORE, ExpressionContext.DEL)
        self.found.append(Use(below_root(meaning + after) or "", whole, node, start.line, start.column, stored))

    def _whole(self, node: libcst.CSTNode) -> libcst.CSTNode:
        parent: Any = self.parents.get(node)
        called = isinstance(parent, libcst.Call) and parent.func is node
        subscripted = isinstance(parent, libcst.Subscript) and parent.value is node
        return parent if called or subscripted else node

    def unused(self) -> Iterator[Use]:
        """Names that are imported and not used in the program: others may import them from it."""
        for item in self.imports.found:
            if not isinstance(item.node, libcst.ImportFrom) or isinstance(item.node.names, libcst.ImportStar):
                continue
            module = below_root(imported_module(item.node) or "")
            for alias in item.node.names:
                if bound_name(alias) in self.used:
                    continue
                start = self.positions[alias].start
                name = f"{module}.{get_full_name_for_node(alias.name)}".lstrip(".")
                yield Use(name, alias.name, alias.name, start.line, start.column)
