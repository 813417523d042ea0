"""Which modules call which, and whose result goes where: read off each module's own ``forward``.

A module is run once with symbols of `torch.fx` in place of tensors, and with stand-ins in place of its parts, which
note that they were called. What comes out holds for every input, as a symbol cannot be asked for a size or a value:
code that does, or that reads the parameters of a part, ends the run, and that module is left as it is, with all in it.
Neither the module nor `torch.nn.Module` is changed meanwhile, so that other threads may run models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, Node, Proxy
from torch.fx.node import map_arg

from smp_core.inference.standins import CallTracer, StandIns
from smp_core.inference.trust import asks_for_classes, has_trusted_form, is_as_its_class
from smp_core.layers.stock import Fusing


@dataclass(frozen=True)
class Edge:
    """Where a module's own input comes from, and where goes what it returns: its callers know."""

    module: nn.Module


Place = nn.Module | Edge | None
"""A module that was called; None is anybody else, or several."""


@dataclass
class Calls:
    """What is known of a model after `read_calls`.

    Attributes:
        followers: of each module that was called, who alone takes its result, over all calls.
        sources: of each module that was called, whose result it is given, over all calls.
        first: of each module that was run, which of its parts alone takes its input as it is, over all runs.
        last: likewise, which of its parts' results it returns as they are.
        left: modules whose parts are called in ways that nobody knows, and all that is in them.
    """

    followers: dict[nn.Module, set[Place]] = field(default_factory=dict)
    sources: dict[nn.Module, set[Place]] = field(default_factory=dict)
    first: dict[nn.Module, set[Place]] = field(default_factory=dict)
    last: dict[nn.Module, set[Place]] = field(default_factory=dict)
    left: set[nn.Module] = field(default_factory=set)

    def are_a_pair(self, one: nn.Module, other: nn.Module) -> bool:
        """Whether the one's result goes to the other alone, which is given nothing else, whenever either is called."""
        if one in self.left or other in self.left:
            return False
        return self.takers(one) == {other} and self._givers(other) == {one}

    def takers(self, module: nn.Module) -> set[Place]:
        """Who takes a module's result, through the edges of the modules around either."""
        return _seen_through(module, self.followers, self.first)

    def _givers(self, module: nn.Module) -> set[Place]:
        """Whose result a module is given, likewise."""
        return _seen_through(module, self.sources, self.last)


def _seen_through(
    module: nn.Module, outside: dict[nn.Module, set[Place]], inside: dict[nn.Module, set[Place]]
) -> set[Place]:
    """The neighbours of a module, of which none is a container of one and none an edge."""
    found, pending = set[Place](), list(outside.get(module, {None}))
    while pending:
        place = pending.pop()
        if isinstance(place, Edge):
            pending += outside.get(place.module, {None})
            continue
        inner = inside.get(place) if place is not None else None
        if inner is None or None in inner:
            found.add(place)
        else:
            pending += inner
    return found


def read_calls(model: nn.Module, num_inputs: int = 1) -> Calls:
    """Follow all calls from a model down to the layers.

    Args:
        model: in evaluation mode; not changed.
        num_inputs: how many tensors it is called with.
    """
    calls = Calls()
    inputs = Graph()
    symbols = tuple(inputs.placeholder(f"input_{number}") for number in range(num_inputs))
    pending: list[tuple[nn.Module, tuple[Any, ...], Mapping[str, Any]]] = [(model, symbols, {})]
    known: set[tuple[nn.Module, str]] = set()
    while pending:
        module, args, kwargs = pending.pop()
        # What is called again in the same way, as a shared block is, does the same.
        way = module, repr(map_arg((args, dict(kwargs)), lambda _: "a tensor"))
        if not module._modules or module in calls.left or way in known:
            continue
        known.add(way)
        called = _run(module, args, kwargs)
        if called is None:
            calls.left.update(part for part in module.modules() if part is not module or not has_trusted_form(module))
            continue
        _note(calls, module, called)
        pending += [(part, node.args, node.kwargs) for part, node in called]
    return calls


def _note(calls: Calls, module: nn.Module, called: list[tuple[nn.Module, Node]]) -> None:
    """Add one run of a module to what is known."""
    of_node: dict[Node | None, nn.Module] = {node: part for part, node in called}
    first: Place = None
    last: Place = None
    for part, node in called:
        taker, giver = _only_taker(node), _only_giver(node)
        follower: Place = of_node.get(taker)
        source: Place = of_node.get(giver)
        if taker is not None and taker.op == "output":
            follower, last = Edge(module), part
        if giver is not None and giver.op == "placeholder":
            alone = _only_taker(giver) is node and sum(item.op == "placeholder" for item in giver.graph.nodes) == 1
            source, first = (Edge(module), part) if alone else (None, first)
        calls.followers.setdefault(part, set()).add(follower)
        calls.sources.setdefault(part, set()).add(source)
    calls.first.setdefault(module, set()).add(first)
    calls.last.setdefault(module, set()).add(last)


def _only_giver(node: Node) -> Node | None:
    """The one operation whose result an operation is given alone."""
    given = node.args[0] if len(node.args) == 1 and not node.kwargs else None
    return given if isinstance(given, Node) else None


def _only_taker(node: Node) -> Node | None:
    """The one operation that takes a result, and takes nothing else; None where there are others, or none."""
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].args == (node,) and not users[0].kwargs else None


def _run(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[nn.Module, Node]] | None:
    """Run a module's ``forward`` with symbols in place of the nodes of a call.

    Returns:
        Its parts as they are called, each with its node in a graph of all that the module does; None where that cannot
        be known.
    """
    if not is_as_its_class(module) or (not has_trusted_form(module) and asks_for_classes(type(module))):
        return None
    graph, called = Graph(), list[tuple[nn.Module, Node]]()
    tracer = CallTracer(graph)

    def symbol(_: Node) -> Any:
        return tracer.proxy(graph.placeholder(f"given_{len(graph.nodes)}"))

    def call(part: nn.Module, *given: Any, **named: Any) -> Proxy:
        proxy = tracer.create_proxy("call_module", f"part_{len(called)}", given, named)
        called.append((part, proxy.node))
        return proxy

    given, named = map_arg(args, symbol), map_arg(dict(kwargs), symbol)
    # torch makes lists and dicts of a graph unchangeable; a module may take its own apart.
    try:
        stand_ins = StandIns(module, call, tracer)
        with torch.no_grad():
            result = type(module).forward(stand_ins.whole, *map(_changeable, given), **_changeable(named))
        graph.create_node("output", "output", (tracer.create_arg(result),))
    except Exception:  # whatever a stranger's code makes of a symbol: it asked for more than holds for every input
        return None
    if tracer.refused or stand_ins.have_changed():
        return None
    if (tracer.has_fast_form or isinstance(module, Fusing)) and not has_trusted_form(module):
        return None
    return called


def _changeable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _changeable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_changeable(item) for item in value]
    if type(value) is tuple:
        return tuple(_changeable(item) for item in value)
    return value
