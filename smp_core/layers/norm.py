"""Normalisation of decoder features, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.nn import functional

from smp_core._specs.kinds import NORMS, NormKind
from smp_core.errors import OptionError
from smp_core.layers.pooled_norm import PooledBatchNorm2d, PooledInstanceNorm2d

Norm: TypeAlias = "bool | str | Mapping[str, Any]"
"""True (``batchnorm``), False (``identity``), a name, or ``{"type": name, **arguments}``."""


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel: (N, C, H, W), same out. Ba et al., arXiv:1607.06450."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


def _inplace(channels: int, **arguments: Any) -> nn.Module:
    try:
        module = importlib.import_module("inplace_abn")
    except ModuleNotFoundError as error:
        raise OptionError(
            "norm 'inplace' needs the package inplace_abn, which is not installed; "
            "run: pip install inplace_abn --no-build-isolation, or choose 'batchnorm'"
        ) from error
    built = module.InPlaceABN(channels, **arguments)
    assert isinstance(built, nn.Module)
    return built


_BY_NAME: dict[str, Callable[..., nn.Module]] = {
    "batchnorm": nn.BatchNorm2d,
    "instancenorm": nn.InstanceNorm2d,
    "layernorm": LayerNorm2d,
    "identity": nn.Identity,
    "inplace": _inplace,
}
assert tuple(_BY_NAME) == NORMS

_POOLED: dict[str, Callable[..., nn.Module]] = {
    **_BY_NAME,
    "batchnorm": PooledBatchNorm2d,
    "instancenorm": PooledInstanceNorm2d,
}

# These need no ReLU after them: inplace_abn carries its activation inside.
_WITH_ACTIVATION = ("inplace",)


def norm_name(norm: Norm) -> str:
    """The name that a norm option stands for.

    Raises:
        OptionError: not a norm option; lists the names. Or an argument that the norm does not take.
    """
    NormKind().check("norm", norm)
    if isinstance(norm, bool):
        return "batchnorm" if norm else "identity"
    return str(norm["type"] if isinstance(norm, Mapping) else norm)


def norm_has_activation(norm: Norm) -> bool:
    """Whether the norm applies an activation itself."""
    return norm_name(norm) in _WITH_ACTIVATION


def build_norm(norm: Norm, channels: int, *, pooled: bool = False) -> nn.Module:
    """Build a norm for maps of shape (N, channels, H, W).

    Args:
        norm: True (``batchnorm``), False (``identity``), one of ``batchnorm``, ``instancenorm``, ``layernorm``,
            ``identity``, ``inplace``, or a dict with such a ``type`` and the arguments of the torch module
            (``{"type": "batchnorm", "momentum": 0.01}``).
        channels: number of channels.
        pooled: the maps may be of one pixel; see `smp_core.layers.pooled_norm`.

    Raises:
        OptionError: an unknown name, an argument that the norm does not take, or ``inplace`` without its package.

    >>> build_norm("layernorm", 8)(torch.zeros(2, 8, 4, 4)).shape
    torch.Size([2, 8, 4, 4])
    """
    name = norm_name(norm)
    arguments = {key: value for key, value in norm.items() if key != "type"} if isinstance(norm, Mapping) else {}
    try:
        return (_POOLED if pooled else _BY_NAME)[name](channels, **arguments)
    except OptionError:  # a TypeError itself, and complete
        raise
    except TypeError as error:
        raise OptionError(f"norm {norm!r}: {error}") from error
