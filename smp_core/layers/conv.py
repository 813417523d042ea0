"""Convolution, norm and ReLU, the block that most decoders are made of."""

from __future__ import annotations

from torch import nn

from smp_core.layers.norm import Norm, build_norm, norm_has_activation, norm_name


def activation_after(norm: Norm) -> nn.Module:
    """ReLU, or nothing where the norm has its own activation."""
    return nn.Identity() if norm_has_activation(norm) else nn.ReLU(inplace=True)


def needs_bias(norm: Norm) -> bool:
    """Whether the convolution before this norm needs a bias: only where nothing is normalised."""
    return norm_name(norm) == "identity"


class ConvNormAct(nn.Sequential):
    """Convolution, norm, ReLU: (N, in_channels, H, W) -> (N, out_channels, H', W').

    The convolution has a bias only where the norm is ``identity``. State-dict keys: ``0`` convolution, ``1`` norm.

    Args:
        in_channels, out_channels: number of channels.
        kernel_size, padding, stride: of the convolution.
        norm, pooled: see `build_norm`.

    >>> ConvNormAct(8, 4, kernel_size=3, padding=1)(torch.zeros(2, 8, 16, 16)).shape
    torch.Size([2, 4, 16, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        padding: int = 0,
        stride: int = 1,
        norm: Norm = "batchnorm",
        *,
        pooled: bool = False,
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=needs_bias(norm)),
            build_norm(norm, out_channels, pooled=pooled),
            activation_after(norm),
        )
