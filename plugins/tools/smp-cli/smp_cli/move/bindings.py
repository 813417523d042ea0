"""What a name means where it is read: which imports of the library it may come from."""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from smp_cli.move.scopes import Binding, Block, Read, Scope, attributes, bound_name, first_name

OLD, NEW = "segmentation_models_pytorch", "smp_compat"
ROOTS = (OLD, NEW)
# Of a dotted name that is followed from one name to the next: nothing in the library is called longer.
_LONGEST = 500


def below_root(name: str) -> str | None:
    """A dotted name below the library; None where it is another's.

    >>> below_root("segmentation_models_pytorch.losses"), below_root("smp_compat"), below_root("torch.nn")
    ('losses', '', None)
    """
    root, _, rest = name.partition(".")
    return rest if root in ROOTS else None


def imported_module(node: ast.ImportFrom) -> str | None:
    """The module that names are imported from, where it is the library's: dotted, with its root."""
    if node.level or node.module is None or below_root(node.module) is None:
        return None
    return node.module


def is_star(node: ast.Import | ast.ImportFrom) -> bool:
    """Whether a statement imports everything that a module has."""
    return node.names[0].name == "*"


def meaning_of_import(node: ast.Import | ast.ImportFrom, name: str) -> str | None:
    """The dotted name of the library that an import gives to a name; None where it gives it another's."""
    for alias in node.names:
        if bound_name(alias) != name or alias.name == "*":
            continue
        if isinstance(node, ast.ImportFrom):
            module = imported_module(node)
            return None if module is None else f"{module}.{alias.name}"
        if below_root(alias.name) is not None:
            return alias.name if alias.asname is not None else alias.name.partition(".")[0]
    return None


def names_that_matter(tree: ast.Module, stars: Mapping[str, frozenset[str]]) -> set[str]:
    """The names that imports of the library bind, and those that are other names for these."""
    names = {name for found in stars.values() for name in found}
    others: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound = [bound_name(alias) for alias in node.names]
            names.update(name for name in bound if meaning_of_import(node, name) is not None)
        elif isinstance(node, ast.Assign) and (first := first_name(node.value)) is not None:
            targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
            others.setdefault(first.id, []).extend(targets)
    waiting = [*names]
    while waiting:
        for name in others.pop(waiting.pop(), ()):
            names.add(name)
            waiting.append(name)
    return names


class Bindings:
    """Finds what names mean, by the scopes of a program and by what was assigned last.

    Args:
        stars: the modules of the library that are imported with a star, and what these bind.
        sources: the bindings that are other names for something, in their order.
    """

    def __init__(self, stars: Mapping[str, frozenset[str]], sources: Sequence[Binding]) -> None:
        self._stars = stars
        self._aliases: dict[Binding, str | None] = {}
        # In their order, so that the next finds what the one before means, however long the chain.
        for binding in sources:
            self._alias(binding)

    def meaning(self, read: Read) -> str | None:
        """The dotted name, with its root, that a name stands for; None where it is nothing of the library's."""
        name = read.name.id
        home = _home(read)
        if home is None:
            return next((f"{star}.{name}" for star, names in self._stars.items() if name in names), None)
        for binding in _in_force(read, home, home.bindings[name]):
            if binding.statement is not None:
                meaning = meaning_of_import(binding.statement, name)
            else:
                meaning = self._alias(binding)
            if meaning is not None:
                return meaning
        return None

    def _alias(self, binding: Binding) -> str | None:
        if binding.source is None:
            return None
        if binding not in self._aliases:
            self._aliases[binding] = None  # where it leads back to itself
            meaning = self.meaning(binding.source)
            if meaning is not None and len(meaning) < _LONGEST and not _is_constant(binding.source):
                self._aliases[binding] = ".".join([meaning, *attributes(binding.source.reference)])
        return self._aliases[binding]


def _is_constant(read: Read) -> bool:
    """Whether a value is named that nothing is asked of, such as __version__ or BINARY_MODE."""
    last = read.reference.attr if isinstance(read.reference, ast.Attribute) else ""
    return last.startswith("__") or last.isupper()


def _home(read: Read) -> Scope | None:
    """The scope that a name is of; a class lends those of the scopes around it until it binds its own."""
    home = read.scope.home(read.name.id)
    if home is None or home.kind != "class" or home.bindings[read.name.id][0].order < read.order:
        return home
    outer = home.outer
    while outer is not None and outer.kind == "class":
        outer = outer.outer
    return None if outer is None else outer.home(read.name.id)


def _in_force(read: Read, home: Scope, known: Sequence[Binding]) -> Iterator[Binding]:
    """Those bindings whose value a name may have: in a scope of its own, none before one that always happens."""
    own = read.scope
    while own.kind == "comprehension" and own is not home and own.outer is not None:
        own = own.outer
    before = bisect_left(known, read.order, key=lambda binding: binding.order) if home is own else 0
    if not before:
        yield from known
        return
    blocks = {*_blocks(read.block)}
    for number in reversed(range(before)):
        yield known[number]
        if known[number].block in blocks:
            return


def _blocks(block: Block | None) -> Iterator[Block]:
    """The lists of statements that one is in, itself first."""
    while block is not None:
        yield block
        block = block.outer
