"""A norm folded into the convolution before it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from smp_core.layers.pooled_norm import PooledBatchNorm2d
from smp_core.layers.stock import is_stock

_CONVOLUTIONS: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED: tuple[type[nn.Module], ...] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# By this a convolution of another class says that its ``forward`` ends with adding its bias.
_SAYS_SO = "folds_norms"

_NORMS: tuple[type[nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, PooledBatchNorm2d)


def split_norms(module: nn.Module, kind: type[nn.BatchNorm2d], rest: Sequence[str]) -> None:
    """Take norms that do more than normalise apart, so that they can be folded.

    Args:
        module: whose parts are exchanged, in evaluation mode.
        kind: the very class of such norms; subclasses of it are left as they are.
        rest: names of the modules in it that it calls on what is normalised, one after the other.
    """
    for parent in list(module.modules()):
        for name, norm in parent._modules.items():
            if type(norm) is kind and is_stock(norm, kind, {"track_running_stats": True, "training": False}):
                plain = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, device="meta").eval()
                plain.__dict__.update(_parameters=dict(norm._parameters), _buffers=dict(norm._buffers))
                parent._modules[name] = nn.Sequential(plain, *(norm.get_submodule(part) for part in rest)).eval()


def may_fold(convolution: Any, norm: Any) -> bool:
    """Whether the two are as torch made them, and the norm is one number a channel to multiply by and one to add."""
    # Of a grouped transposed convolution the channels of the result are spread over two axes of the weight.
    is_plain = _is_one_of(convolution, _CONVOLUTIONS, {"transposed": False})
    if not is_plain and not _is_one_of(convolution, _TRANSPOSED, {"transposed": True, "groups": 1}):
        return False
    if not _is_one_of(norm, _NORMS, {"track_running_stats": True, "training": False}):
        return False
    buffers = (norm.running_mean, norm.running_var)
    if any(type(buffer) is not Tensor for buffer in buffers) or norm.num_features != convolution.out_channels:
        return False
    return bool(convolution.weight.is_floating_point()) and not convolution.weight.is_meta


def fold(convolution: Any, norm: Any) -> nn.Module:
    """A convolution that gives what the norm makes of the convolution's result, by its running statistics.

    Args:
        convolution, norm: where `may_fold`; neither is changed.

    Returns:
        Of the convolution's class, with a bias. The product is taken in float64.
    """
    weight, bias = fuse_conv_bn_weights(
        *(_double(convolution.weight), _double(convolution.bias)),
        *(_double(norm.running_mean), _double(norm.running_var), norm.eps),
        *(_double(norm.weight), _double(norm.bias)),
        transpose=bool(convolution.transposed),
    )
    folded: nn.Module = copy.copy(convolution)
    like = convolution.weight
    folded.__dict__["_parameters"] = {
        "weight": nn.Parameter(weight.detach().to(like), requires_grad=False),
        "bias": nn.Parameter(bias.detach().to(like), requires_grad=False),
    }
    return folded


def _is_one_of(part: Any, kinds: tuple[type[nn.Module], ...], assumed: dict[str, object]) -> bool:
    kind = type(part)
    says_so = issubclass(kind, kinds) and vars(kind).get(_SAYS_SO) is True
    return (kind in kinds or says_so) and is_stock(part, kind, assumed)


def _double(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.detach().to(torch.float64)
