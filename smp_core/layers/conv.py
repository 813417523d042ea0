"""Convolution, norm and ReLU, the block that most decoders are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from smp_core.layers.kernels import kernel_for
from smp_core.layers.norm import Norm, build_norm, norm_has_activation, norm_name
from smp_core.layers.recording import is_recording, may_fuse
from smp_core.layers.stock import CONV3X3, is_stock

if TYPE_CHECKING:
    from smp_core.inference.protocol import Walk


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

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: its fast form reads what is in its parts then."""
        return walk.parts(self)

    def forward(self, input: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            return self._run(input)
        x = input
        for layer in self:
            x = layer(x)
        return x

    @torch.jit.unused
    def _run(self, x: Tensor) -> Tensor:
        out = self._by_kernel(x)
        if out is not None:
            return self.after_convolution(out, 2 if self.has_folded_norm() else 0)
        for layer in self:
            x = layer(x)
        return x

    def _by_kernel(self, x: Tensor) -> Tensor | None:
        """The convolution, and ReLU where `has_folded_norm`, by a plugin's kernel; None where there is none for it."""
        # A symbol of torch.fx is not told of this form, as `may_fuse` would: it reads the parts as they are at each
        # call, so that whoever follows the calls sees all there is.
        if is_recording(x) or x.dim() != 4 or len(self) == 0:
            return None
        convolution = self[0]
        if type(convolution) is not nn.Conv2d or convolution.kernel_size != (3, 3):
            return None
        kernel = kernel_for("conv3x3", x, x.shape[0] * x.shape[2] * x.shape[3], convolution.in_channels)
        if kernel is None or not may_fuse(x) or not is_stock(convolution, nn.Conv2d, CONV3X3):
            return None
        weight, bias = convolution.weight, convolution.bias
        return kernel(None, x, weight, bias, x.shape[2], x.shape[3], self.has_folded_norm())

    def has_folded_norm(self) -> bool:
        """Whether the convolution is followed by ReLU alone, so that a kernel may compute both."""
        return len(self) == 3 and is_stock(self[1], nn.Identity) and is_stock(self[2], nn.ReLU)

    def after_convolution(self, x: Tensor, done: int = 0) -> Tensor:
        """What the layers behind the convolution make of its result.

        Args:
            x: (N, out_channels, H', W').
            done: how many of them have been computed with it.
        """
        for index, layer in enumerate(self):
            if index > done:
                x = layer(x)
        return x
