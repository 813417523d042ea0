"""What a name means where it stands: which imports of the library it may come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import libcst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import BaseAssignment, BuiltinAssignment, CodeRange, ImportAssignment, Scope

OLD, NEW = "segmentation_models_pytorch", "smp_compat"
ROOTS = (OLD, NEW)

_BLOCKS = (libcst.Module, libcst.IndentedBlock, libcst.SimpleStatementSuite)


def below_root(name: str) -> str | None:
    """A dotted name below the library; None where it is another's.

    >>> below_root("segmentation_models_pytorch.losses"), below_root("smp_compat"), below_root("torch.nn")
    ('losses', '', None)
    """
    root, _, rest = name.partition(".")
    return rest if root in ROOTS else None


def imported_module(node: libcst.ImportFrom) -> str | None:
    """The module that names are imported from, where it is the library's: dotted, with its root."""
    if node.relative or node.module is None:
        return None
    name = get_full_name_for_node(node.module) or ""
    return name if below_root(name) is not None else None


def bound_name(alias: libcst.ImportAlias) -> str:
    """The name that an alias of an import binds."""
    if alias.asname is not None:
        return get_full_name_for_node(alias.asname.name) or ""
    return (get_full_name_for_node(alias.name) or "").partition(".")[0]


def _meanings(node: libcst.Import | libcst.ImportFrom, name: str) -> Iterator[str]:
    """The dotted names of the library that an import gives to a name."""
    if isinstance(node.names, libcst.ImportStar):
        return
    for alias in node.names:
        if bound_name(alias) != name:
            continue
        imported = get_full_name_for_node(alias.name) or ""
        if isinstance(node, libcst.ImportFrom):
            module = imported_module(node)
            if module is not None:
                yield f"{module}.{imported}"
        elif below_root(imported) is not None:
            yield imported if alias.asname is not None else imported.partition(".")[0]


class Bindings:
    """Finds what names mean, by the scopes of a module and by what was assigned last.

    Args:
        scopes, positions, parents: of the module's nodes, as libcst's metadata gives them.
        stars: the modules of the library that are imported with a star.
    """

    def __init__(
        self,
        scopes: Mapping[Any, Scope | None],
        positions: Mapping[Any, CodeRange],
        parents: Mapping[Any, libcst.CSTNode],
        stars: Mapping[str, frozenset[str]],
    ) -> None:
        self._scopes = scopes
        self._positions = positions
        self._parents = parents
        self._stars = stars

    def meaning(self, node: libcst.Name) -> str | None:
        """The dotted name, with its root, that a name stands for; None where it is nothing of the library's."""
        scope = self._scopes.get(node)
        if scope is None:
            return None
        known = [item for item in scope[node.value] if not isinstance(item, BuiltinAssignment)]
        if not known:
            return next((f"{star}.{node.value}" for star, names in self._stars.items() if node.value in names), None)
        for item in self._in_force(node, scope, known):
            if isinstance(item, ImportAssignment) and isinstance(item.node, libcst.Import | libcst.ImportFrom):
                for meaning in _meanings(item.node, node.value):
                    return meaning
        return None

    def _in_force(self, node: libcst.Name, scope: Scope, known: list[BaseAssignment]) -> Iterator[BaseAssignment]:
        """Those assignments whose value a name may have: in a scope of its own, none before one that always happens."""
        placed = [(self._start(getattr(item, "node", None)), item) for item in known]
        here = self._start(node)
        before = [(place, item) for place, item in placed if item.scope is scope and place is not None and place < here]
        if not before:
            yield from known
            return
        blocks = {id(block) for block in self._blocks(node)}
        for _, item in sorted(before, key=lambda pair: pair[0], reverse=True):
            yield item
            block = next(self._blocks(getattr(item, "node", node)), None)
            if block is not None and id(block) in blocks:
                return

    def _start(self, node: libcst.CSTNode | None) -> Any:
        place = self._positions.get(node) if node is not None else None
        return None if place is None else (place.start.line, place.start.column)

    def _blocks(self, node: libcst.CSTNode) -> Iterator[libcst.CSTNode]:
        """The lists of statements that a node is in, innermost first."""
        parent = self._parents.get(node)
        while parent is not None:
            if isinstance(parent, _BLOCKS):
                yield parent
            parent = self._parents.get(parent)
