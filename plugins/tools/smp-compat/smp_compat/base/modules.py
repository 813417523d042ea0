"""Layers, with SMP's names and signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from smp_compat._not_provided import raises_for
from smp_compat.base._standing import StandsFor
from smp_core.layers import SCSE, ConvNormAct, build_activation, build_attention, build_norm
from smp_core.layers import activation as activations
from smp_core.layers import attention as attentions
from smp_core.layers.norm import Norm, norm_has_activation

__all__ = ["Activation", "ArgMax", "Attention", "Clamp", "Conv2dReLU", "SCSEModule", "get_norm_layer"]


def get_norm_layer(use_norm: Norm, out_channels: int) -> nn.Module:
    """The norm that an option names; see `smp_core.layers.build_norm`.

    Raises:
        OptionError: a ValueError; no such norm.
    """
    return build_norm(use_norm, out_channels)


class Conv2dReLU(nn.Sequential, metaclass=StandsFor):
    """Convolution, norm, ReLU: (N, in_channels, H, W) -> (N, out_channels, h, w).

    The convolution has a bias only where there is no norm; ``inplace`` brings its activation along.
    """

    _stands_for = ConvNormAct

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        padding: int = 0,
        stride: int = 1,
        use_norm: Norm = "batchnorm",
    ) -> None:
        norm = get_norm_layer(use_norm, out_channels)
        bias = isinstance(norm, nn.Identity)
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=bias)
        super().__init__(conv, norm, nn.Identity() if norm_has_activation(use_norm) else nn.ReLU(inplace=True))


class SCSEModule(SCSE, metaclass=StandsFor):
    """See `smp_core.layers.SCSE`."""

    _stands_for = SCSE

    def __init__(self, in_channels: int, reduction: int = 16) -> None:
        super().__init__(in_channels, reduction)


class ArgMax(nn.Module):
    """The index of the largest value along a dimension, or of all values where it is None."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> one dimension less, int64."""
        return x.argmax(dim=self.dim)


class Clamp(nn.Module):
    """Values limited to [min, max], any shape."""

    def __init__(self, min: float = 0, max: float = 1) -> None:
        super().__init__()
        self.min, self.max = min, max

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, same out."""
        return x.clamp(self.min, self.max)


class Activation(activations.Activation, metaclass=StandsFor):
    """The activation that a name means, under ``activation``; see `smp_core.layers.build_activation`.

    Args:
        name: a name, None, or something callable that makes a module.
        **params: arguments of what is made.

    Raises:
        OptionError: a ValueError; no such activation.
    """

    _stands_for = activations.Activation

    def __init__(self, name: str | Callable[..., Any] | None, **params: Any) -> None:
        super().__init__(_build(name, params))


_WITH_ARGUMENTS: dict[str, Callable[..., nn.Module]] = {
    "softmax": nn.Softmax,
    "logsoftmax": nn.LogSoftmax,
    "argmax": ArgMax,
    "clamp": Clamp,
}


def _build(name: str | Callable[..., Any] | None, params: dict[str, Any]) -> nn.Module:
    if isinstance(name, str) and name in _WITH_ARGUMENTS and params:
        return _WITH_ARGUMENTS[name](**params)
    if callable(name):
        built: nn.Module = name(**params) if params else made(name)
        return built
    return build_activation(name)


def made(activation: Any) -> Any:
    """What a callable makes that can be called without arguments, as SMP calls it; anything else as it is.

    A module, and a function of a tensor, which SMP refuses, are activations themselves.
    """
    if not callable(activation) or isinstance(activation, nn.Module):
        return activation
    try:
        inspect.signature(activation).bind()
    except (TypeError, ValueError):
        return activation
    return activation()


class Attention(nn.Module, metaclass=StandsFor):
    """The attention that a name means, under ``attention``: None or ``"scse"``.

    Raises:
        OptionError: a ValueError; no such attention.
    """

    _stands_for = attentions.Attention

    def __init__(self, name: str | None, **params: Any) -> None:
        super().__init__()
        self.attention: nn.Module
        if name == "scse":
            self.attention = SCSEModule(**params)
        else:
            self.attention = nn.Identity() if name is None else build_attention(name, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), same out."""
        out: Tensor = self.attention(x)
        return out


__getattr__ = raises_for(__name__)
