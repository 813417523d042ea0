"""The last step of a head: from scores to whatever the caller wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from smp_core.errors import OptionError
from smp_core.layers.stock import is_stock
from smp_core.options import ACTIVATIONS, check_activation


class ArgMax(nn.Module):
    """The index of the largest score: (N, C, ...) -> (N, ...), int64."""

    def forward(self, x: Tensor) -> Tensor:
        return x.argmax(dim=1)


class Clamp(nn.Module):
    """Scores limited to [0, 1], any shape."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(0.0, 1.0)


class Function(nn.Module):
    """A plain function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Activation(nn.Module):
    """A head's activation under ``activation``, where it may be exchanged: any shape -> what it gives."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(x)
        return out


def bare(module: nn.Module) -> nn.Module:
    """The activation that an `Activation` keeps, where calling it is calling that; any other module itself."""
    kept = isinstance(module, Activation) and type(module).forward is Activation.forward
    return module.activation if kept and is_stock(module, type(module)) else module  # type: ignore[return-value]


_BY_NAME: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "sigmoid": nn.Sigmoid,
    "softmax": lambda: nn.Softmax(dim=1),
    "softmax2d": lambda: nn.Softmax(dim=1),
    "logsoftmax": lambda: nn.LogSoftmax(dim=1),
    "tanh": nn.Tanh,
    "argmax": ArgMax,
    "argmax2d": ArgMax,
    "clamp": Clamp,
}
assert tuple(_BY_NAME) == ACTIVATIONS


def build_activation(activation: str | Callable[..., Any] | None) -> nn.Module:
    """Build the activation of a head. Softmax and argmax run over the classes, dimension 1.

    Args:
        activation: None or one of ``identity``, ``sigmoid``, ``softmax``, ``softmax2d``, ``logsoftmax``, ``tanh``,
            ``argmax``, ``argmax2d``, ``clamp`` (to [0, 1]); a module; a class of modules, which is called without
            arguments; or a function from tensor to tensor.

    Raises:
        OptionError: none of these.

    >>> build_activation("softmax")(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 4, 8, 8])
    """
    check_activation(activation)
    if activation is None:
        return nn.Identity()
    if isinstance(activation, str):
        return _BY_NAME[activation]()
    if isinstance(activation, nn.Module):
        return activation
    if isinstance(activation, type):
        module = activation()
        if not isinstance(module, nn.Module):
            raise OptionError(f"activation class {activation.__name__} does not build an nn.Module, but {module!r}")
        return module
    return Function(activation)
