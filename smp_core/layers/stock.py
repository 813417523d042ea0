"""Fast forms, and when they may be taken.

A layer may compute its result in another way than by calling its parts only where the result is the one that calling
them would give. People replace parts, wrap, prune, hook, quantise and shard them: all that acts through a part's type,
its hooks, its attributes or its parameters, and `is_stock` asks for these alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor

_NOTHING: Mapping[str, object] = {}

_CONVOLUTION = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, "padding_mode": "zeros"}

CONV1X1: Mapping[str, object] = {"kernel_size": (1, 1), "padding": (0, 0), **_CONVOLUTION}
"""What a fast form of a 1x1 convolution assumes of it."""

CONV3X3: Mapping[str, object] = {"kernel_size": (3, 3), "padding": (1, 1), **_CONVOLUTION}
"""What a fast form of a 3x3 convolution assumes of it."""

# Of a parameter: plain memory, or what torch itself puts in its place while it exports or compiles.
_PLAIN = (nn.Parameter, Tensor, FakeTensor, FunctionalTensor)


# Methods that people exchange on a single layer: what it computes, and how a convolution pads.
_METHODS = ("forward", "_conv_forward")


def is_stock(part: Any, kind: type[nn.Module], assumed: Mapping[str, object] = _NOTHING) -> bool:
    """Whether calling a part of a module gives what its class computes from its parameters, and nothing sees the call.

    Args:
        part: as it is now.
        kind: the very class that it was built with.
        assumed: attributes that the fast form takes for granted; `CONV1X1`, `CONV3X3`.

    Returns:
        False where it is of another class, a subclass too (parametrised, sharded, quantised), but for one whose class
        says that it ``computes_as`` the other does; where it has hooks, or a
        method of its own in place of one of its class; where an attribute differs; where the weight is missing (pruned)
        or a tensor subclass.
        Hooks on every module there is are for `smp_core.layers.recording.may_fuse` to see.

    >>> is_stock(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d, CONV3X3)
    True
    >>> is_stock(nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), nn.Conv2d, CONV3X3)
    False
    """
    if type(part) is not kind and vars(type(part)).get("computes_as") is not kind:
        return False
    if part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks:
        return False
    for name in _METHODS:
        if name in part.__dict__:
            return False
    for name, value in assumed.items():
        if getattr(part, name) != value:
            return False
    for parameter in part._parameters.values():
        if parameter is not None and type(parameter) not in _PLAIN:
            return False
    # Of what has a weight and no parameter of that name the weight is computed, or somebody's own.
    return not assumed or "weight" in part._parameters or not hasattr(part, "weight")


def is_plain_tensor(x: object) -> bool:
    """Whether a tensor is of no subclass, which may mean something else by an operation than torch."""
    return type(x) in _PLAIN


class Fusing(nn.Module):
    """Base of modules that have a fast form of what their parts compute.

    A subclass says in `has_stock_parts` whether the form holds. Its ``forward`` asks that and
    `smp_core.layers.recording.may_fuse` at each call. A script, which cannot change any more, has the answer of the
    moment at which it was made in ``fuses_in_script``, a constant, so that only the chosen form is compiled::

        if not torch.jit.is_scripting():
            fuses = may_fuse(x) and self.has_stock_parts()
            out = self.fused(x) if fuses else self.conv(x)
        elif self.fuses_in_script:
            out = self.fused(x)
        else:
            out = self.conv(x)
    """

    __constants__: ClassVar[list[str]] = ["fuses_in_script"]

    fuses_in_script: bool = False

    def has_stock_parts(self) -> bool:
        """Whether every part that the fast form does not call is as it was built."""
        raise NotImplementedError(f"{type(self).__name__} must implement has_stock_parts")

    def __prepare_scriptable__(self) -> Any:
        """What `torch.jit.script` calls before it compiles the module."""
        self.fuses_in_script = self.has_stock_parts()
        return self
