"""What a module is run with to read its calls: symbols for tensors, and stand-ins for its parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from torch import nn
from torch.fx import Graph, Node, Proxy
from torch.fx.proxy import GraphAppendingTracer

# What a module keeps its tensors in, and its hooks, which a stand-in has none of: they would be given symbols.
_TENSORS = ("_parameters", "_buffers")
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""What a module keeps its hooks in."""
# What a stand-in has in place of its own, besides.
_EXCHANGED = frozenset({*_TENSORS, *HOOKS, "_modules", "_compiled_call_impl", "forward"})
_CONTAINERS = (list, dict, set)


class CallTracer(GraphAppendingTracer):
    """Writes down what is done with symbols, whether a fast form was asked for, and whether anything was refused.

    A refusal counts for good: a module that catches its error goes on in another way than with tensors.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.has_fast_form = False
        self.refused = False

    def proxy(self, node: Node) -> Proxy:
        """As `torch.fx.proxy.TracerBase.proxy`."""
        return Symbol(node, self)

    def refuse(self, what: str) -> NoReturn:
        """End the run, whoever catches the error."""
        self.refused = True
        raise TypeError(f"a module {what}, which does not hold for every input")

    def create_arg(self, a: Any) -> Any:
        """As `torch.fx.proxy.TracerBase.create_arg`, but for parameters: a module's own are symbols."""
        if isinstance(a, nn.Parameter):
            self.refuse("reads a parameter that is not its own")
        return super().create_arg(a)

    def to_bool(self, obj: Proxy) -> bool:
        """As `torch.fx.proxy.TracerBase.to_bool`, which refuses most."""
        self.refused = True
        return super().to_bool(obj)

    def iter(self, obj: Proxy) -> Any:
        """As `torch.fx.proxy.TracerBase.iter`, which refuses."""
        self.refused = True
        return super().iter(obj)

    def keys(self, obj: Proxy) -> Any:
        """As `torch.fx.proxy.TracerBase.keys`."""
        self.refused = True
        return super().keys(obj)

    def note_fast_form(self) -> None:
        """See `smp_core.layers.recording.may_fuse`, which asks this of the tracer of a symbol."""
        self.has_fast_form = True


class Symbol(Proxy):
    """Stands for whatever comes. Whoever asks it for a number is refused for good."""

    tracer: CallTracer

    def _refuse(self, *_: object) -> NoReturn:
        self.tracer.refuse("asks for a number")

    __len__ = __int__ = __float__ = __index__ = __complex__ = __array__ = __contains__ = _refuse


class _Unread(dict[str, Any]):
    """The parameters or buffers of a part. Whoever reads them computes something that its calls do not show."""

    def __init__(self, tensors: dict[str, Any], tracer: CallTracer) -> None:
        super().__init__(tensors)
        self._tracer = tracer

    def __getitem__(self, name: str) -> Any:
        self._tracer.refuse(f"reads {name!r} of a part")

    def get(self, name: str, default: Any = None) -> Any:
        """As `dict.get`."""
        return self[name] if name in self else default  # noqa: SIM401  # this is what it would call

    def items(self) -> Any:
        """As `dict.items`."""
        return [(name, self[name]) for name in self]

    def values(self) -> Any:
        """As `dict.values`."""
        return [self[name] for name in self]


class StandIns:
    """A module like a given one, whose own tensors are symbols and whose parts, at any depth, only note their calls.

    Lists and the like that any of them holds are copies: what is put into them is not in the module.

    Args:
        module: that is going to be run; not changed.
        call: what is called in place of a part, with the part and what that was given.
        tracer: of the symbols.
    """

    def __init__(self, module: nn.Module, call: Callable[..., Proxy], tracer: CallTracer) -> None:
        self._call, self._tracer = call, tracer
        self._made: dict[nn.Module, nn.Module] = {}
        self.whole = self._like(module)
        del self.whole.__dict__["forward"]
        for kind in _TENSORS:
            self.whole.__dict__[kind] = {
                name: None if tensor is None else tracer.create_proxy("get_attr", name, (), {})
                for name, tensor in module.__dict__[kind].items()
            }

    def have_changed(self) -> bool:
        """Whether a run has left something in one of them: a result that others may read, a count, a cache.

        With that the next run may be another one.
        """
        return any(_differs(made.__dict__, original.__dict__) for original, made in self._made.items())

    def _like(self, original: nn.Module) -> nn.Module:
        if original not in self._made:
            made = object.__new__(type(original))
            self._made[original] = made
            made.__dict__.update(original.__dict__)
            held = {name: value.copy() for name, value in original.__dict__.items() if type(value) in _CONTAINERS}
            made.__dict__.update(held)
            made.__dict__.update({name: {} for name in HOOKS}, _compiled_call_impl=None)
            made.__dict__.update({kind: _Unread(original.__dict__[kind], self._tracer) for kind in _TENSORS})
            made.__dict__["_modules"] = {
                name: None if part is None else self._like(part) for name, part in original._modules.items()
            }
            made.__dict__["forward"] = partial(self._call, original)
        return self._made[original]


def _differs(now: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether attributes are other objects, or lists and the like hold others."""
    names = now.keys() - _EXCHANGED
    if names != before.keys() - _EXCHANGED:
        return True
    return any(not _is_same(now[name], before[name]) for name in names)


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other) or type(one) not in _CONTAINERS or len(one) != len(other):
        return False
    if isinstance(one, set):
        return {id(item) for item in one} == {id(item) for item in other}
    if isinstance(one, dict):
        return list(one) == list(other) and all(one[key] is other[key] for key in one)
    return all(map(lambda a, b: a is b, one, other))
