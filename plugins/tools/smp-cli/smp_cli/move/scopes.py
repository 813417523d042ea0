"""The scopes of a program: what binds the names that matter, and where these are read.

A tree may be deep, so that it is walked by a list of what is open, never by recursion.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class Block:
    """A list of statements, and the one that it is in."""

    outer: Block | None = None


@dataclass(eq=False)
class Binding:
    """What gives a name a value.

    Attributes:
        order: among all bindings and reads, as far as the text tells in which order they happen.
        block: the statements that it is among.
        statement: the import, where it is one.
        source: where it is another name for what can be named: the read of that.
    """

    order: int
    block: Block
    statement: ast.Import | ast.ImportFrom | None = None
    source: Read | None = None


@dataclass(eq=False)
class Scope:
    """Where names are bound."""

    kind: str = "module"
    outer: Scope | None = None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    borrowed: dict[str, Scope] = field(default_factory=dict)

    def home(self, name: str) -> Scope | None:
        """The scope that a name is of, where it is read in this one; None where nothing binds it."""
        scope: Scope | None = self.borrowed.get(name, self)
        while scope is not None:
            hidden = scope.kind == "class" and scope is not self
            if name in scope.bindings and not hidden:
                return scope
            scope = scope.outer
        return None


@dataclass(eq=False)
class Read:
    """A name that is read.

    Attributes:
        name: of it.
        reference: the name with the attributes that follow it.
        node: the whole call or subscript where the reference is what is called or subscripted; else the reference.
        scope, block, order: where it stands.
        role: ``partial`` where it is what functools.partial gets first, ``base`` where a class derives from it.
        in_string: whether it is in a formatted string, where places are not to be relied on.
    """

    name: ast.Name
    reference: ast.Name | ast.Attribute
    node: ast.expr
    scope: Scope
    block: Block
    order: int
    role: str = ""
    in_string: bool = False


def first_name(node: ast.AST) -> ast.Name | None:
    """The name with which a name, or a chain of attributes, begins."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node if isinstance(node, ast.Name) else None


def attributes(node: ast.AST) -> list[str]:
    """What follows the name with which a chain of attributes begins."""
    found = []
    while isinstance(node, ast.Attribute):
        found.append(node.attr)
        node = node.value
    return found[::-1]


Step = tuple[ast.AST, Scope, Block]


class Collector:
    """Collects the bindings and the reads of some names.

    Args:
        names: that matter.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._module = Scope()
        self._order = 0
        self._strings = 0
        self.reads: list[Read] = []
        self.sources: list[Binding] = []
        self.calls: list[ast.Call] = []

    def collect(self, tree: ast.Module) -> None:
        """Walk a program."""
        waiting: list[Iterator[Step]] = [iter([(tree, self._module, Block())])]
        while waiting:
            step = next(waiting[-1], None)
            if step is None:
                waiting.pop()
            else:
                node, scope, block = step
                visit = _VISITORS.get(type(node), Collector._children)
                waiting.append(visit(self, node, scope, block))

    def _bind(self, name: str | None, scope: Scope, block: Block, node: Any = None, source: Read | None = None) -> None:
        if name not in self._names or name is None:
            return
        self._order += 1
        binding = Binding(self._order, block, node, source)
        scope.borrowed.get(name, scope).bindings.setdefault(name, []).append(binding)
        if source is not None:
            self.sources.append(binding)

    def _read(self, reference: Any, node: Any, scope: Scope, block: Block, role: str = "") -> Iterator[Step]:
        name = first_name(reference)
        if name is None:
            while isinstance(reference, ast.Attribute):
                reference = reference.value
            yield reference, scope, block
        elif name.id in self._names and isinstance(name.ctx, ast.Load):
            self._order += 1
            place = (scope, block, self._order)
            self.reads.append(Read(name, reference, node, *place, role, self._strings > 0))

    def _children(self, node: ast.AST, scope: Scope, block: Block) -> Iterator[Step]:
        for _, value in ast.iter_fields(node):
            if isinstance(value, list):
                yield from self._all(value, scope, block)
            elif isinstance(value, ast.AST):
                yield value, scope, block

    def _all(self, nodes: list[Any], scope: Scope, block: Block) -> Iterator[Step]:
        """Some nodes; statements are a block of their own, unless they are those of the module."""
        if nodes and isinstance(nodes[0], ast.stmt):
            block = Block(block)
        for node in nodes:
            if isinstance(node, ast.AST):
                yield node, scope, block

    def _name(self, node: ast.Name, scope: Scope, block: Block) -> Iterator[Step]:
        if isinstance(node.ctx, ast.Store):
            self._bind(node.id, scope, block)
        else:
            yield from self._read(node, node, scope, block)

    def _attribute(self, node: ast.Attribute, scope: Scope, block: Block) -> Iterator[Step]:
        yield from self._read(node, node, scope, block)

    def _call(self, node: ast.Call, scope: Scope, block: Block) -> Iterator[Step]:
        self.calls.append(node)
        yield from self._followed(node.func, node, scope, block)
        arguments: list[ast.expr] = [*node.args]
        if arguments and last_name(node.func) == "partial" and isinstance(arguments[0], ast.Name | ast.Attribute):
            yield from self._read(arguments[0], arguments.pop(0), scope, block, "partial")
        yield from self._all(arguments, scope, block)
        yield from self._all(node.keywords, scope, block)

    def _subscript(self, node: ast.Subscript, scope: Scope, block: Block) -> Iterator[Step]:
        yield from self._followed(node.value, node, scope, block)
        yield node.slice, scope, block

    def _followed(self, reference: ast.expr, node: ast.expr, scope: Scope, block: Block) -> Iterator[Step]:
        """What is called or subscripted."""
        if isinstance(reference, ast.Name | ast.Attribute):
            yield from self._read(reference, node, scope, block)
        else:
            yield reference, scope, block

    def _formatted(self, node: ast.JoinedStr, scope: Scope, block: Block) -> Iterator[Step]:
        self._strings += 1
        yield from self._children(node, scope, block)
        self._strings -= 1

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope, block: Block) -> Iterator[Step]:
        for alias in node.names:
            self._bind(bound_name(alias), scope, block, node)
        yield from ()

    def _assign(self, node: ast.Assign, scope: Scope, block: Block) -> Iterator[Step]:
        """The value is there before the names are; a name for what has one already stands for the same."""
        count = len(self.reads)
        yield node.value, scope, block
        plain = isinstance(node.value, ast.Name | ast.Attribute) and len(self.reads) > count
        source = self.reads[-1] if plain else None
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._bind(target.id, scope, block, source=source)
            else:
                yield target, scope, block

    def _typed_assign(self, node: ast.AnnAssign, scope: Scope, block: Block) -> Iterator[Step]:
        yield node.annotation, scope, block
        if node.value is not None:
            yield node.value, scope, block
            yield node.target, scope, block

    def _changed(self, node: ast.AugAssign, scope: Scope, block: Block) -> Iterator[Step]:
        yield node.value, scope, block
        yield node.target, scope, block

    def _named(self, node: ast.NamedExpr, scope: Scope, block: Block) -> Iterator[Step]:
        yield node.value, scope, block
        while scope.kind == "comprehension" and scope.outer is not None:
            scope = scope.outer
        yield node.target, scope, block

    def _for(self, node: ast.For | ast.AsyncFor, scope: Scope, block: Block) -> Iterator[Step]:
        yield node.iter, scope, block
        yield node.target, scope, block
        yield from self._all(node.body, scope, block)
        yield from self._all(node.orelse, scope, block)

    def _comprehension(self, node: Any, scope: Scope, block: Block) -> Iterator[Step]:
        inner = Scope("comprehension", scope)
        for number, generator in enumerate(node.generators):
            yield generator.iter, inner if number else scope, block
            yield generator.target, inner, block
            yield from self._all(generator.ifs, inner, block)
        for part in ("key", "value", "elt"):
            if hasattr(node, part):
                yield getattr(node, part), inner, block

    def _function(self, node: Any, scope: Scope, block: Block) -> Iterator[Step]:
        """Decorators, defaults and annotations are of the scope that a function stands in, its body of its own."""
        yield from self._all(getattr(node, "decorator_list", []), scope, block)
        given = node.args
        every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
        yield from self._all([*given.defaults, *given.kw_defaults], scope, block)
        yield from self._all([item.annotation for item in every], scope, block)
        yield from self._all([getattr(node, "returns", None)], scope, block)
        self._bind(getattr(node, "name", None), scope, block)
        inner = Scope("function", scope)
        for item in every:
            self._bind(item.arg, inner, block)
        yield from self._all(getattr(node, "type_params", []), inner, block)
        yield from self._all(node.body if isinstance(node.body, list) else [node.body], inner, block)

    def _class(self, node: ast.ClassDef, scope: Scope, block: Block) -> Iterator[Step]:
        yield from self._all(node.decorator_list, scope, block)
        for base in node.bases:
            if isinstance(base, ast.Name | ast.Attribute):
                yield from self._read(base, base, scope, block, "base")
            else:
                yield base, scope, block
        yield from self._all(node.keywords, scope, block)
        inner = Scope("class", scope)
        yield from self._all(getattr(node, "type_params", []), inner, block)
        yield from self._all(node.body, inner, block)
        self._bind(node.name, scope, block)

    def _borrow(self, node: ast.Global | ast.Nonlocal, scope: Scope, _: Block) -> Iterator[Step]:
        for name in node.names:
            outer = scope.outer.home(name) if isinstance(node, ast.Nonlocal) and scope.outer is not None else None
            scope.borrowed[name] = outer or self._module
        yield from ()

    def _binds_text(self, node: Any, scope: Scope, block: Block) -> Iterator[Step]:
        """What has the name that it binds as a text."""
        self._bind(node.rest if isinstance(node, ast.MatchMapping) else node.name, scope, block)
        yield from self._children(node, scope, block)


def last_name(node: ast.AST) -> str:
    """The last part of a name or a chain of attributes; empty where it is neither."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def bound_name(alias: ast.alias) -> str:
    """The name that an alias of an import binds."""
    return alias.asname or alias.name.partition(".")[0]


_VISITORS: dict[type[ast.AST], Any] = {
    ast.Name: Collector._name,
    ast.Attribute: Collector._attribute,
    ast.Call: Collector._call,
    ast.Subscript: Collector._subscript,
    ast.JoinedStr: Collector._formatted,
    ast.Import: Collector._import,
    ast.ImportFrom: Collector._import,
    ast.Assign: Collector._assign,
    ast.AnnAssign: Collector._typed_assign,
    ast.AugAssign: Collector._changed,
    ast.NamedExpr: Collector._named,
    **dict.fromkeys((ast.For, ast.AsyncFor), Collector._for),
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), Collector._comprehension),
    **dict.fromkeys((ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda), Collector._function),
    ast.ClassDef: Collector._class,
    **dict.fromkeys((ast.Global, ast.Nonlocal), Collector._borrow),
    **dict.fromkeys((ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping), Collector._binds_text),
}
