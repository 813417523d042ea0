"""The blocks of EfficientNet (Tan & Le, arXiv:1905.11946): inverted residuals with squeeze-and-excitation.

Published weights come under two sets of module names; there is a block for each, so that both load as they are.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.inference import Walk


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., arXiv:1603.09382): in training an image's map is zero with probability ``rate``.

    What is kept is scaled by 1 / (1 - rate). (N, C, H, W) -> the same.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        kept = 1.0 - self.rate
        scale = x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(kept).div_(kept)
        return x * scale

    def extra_repr(self) -> str:
        return f"rate={self.rate:.3f}"


class DropConnect(DropPath):
    """`DropPath` as the TensorFlow models draw it: from uniform numbers, so that seeded runs can be repeated."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        kept = 1.0 - self.rate
        uniform = torch.rand((x.shape[0], 1, 1, 1), dtype=x.dtype, device=x.device)
        return x / kept * torch.floor(kept + uniform)


class StaticSameConv2d(nn.Conv2d):
    """A convolution that, strided, pads even sizes as TensorFlow does: one more below and right than above and left.

    It does so at every size: odd ones are rounded down, and a size of 1 stays 1. The padding is the convolution's own,
    so that another one in its place pads as that one says. With stride 1 it is `torch.nn.Conv2d`, whose arguments it
    takes; ``padding`` is what it pads below and on the right. (N, in_channels, H, W) -> (N, out_channels, H // 2,
    W // 2).
    """

    folds_norms: ClassVar[bool] = True

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 1 or self.kernel_size[0] == 1:
            plain: Tensor = self._conv_forward(x, self.weight, self.bias)
            return plain
        above = self.kernel_size[0] // 2 * self.dilation[0] - 1
        left = self.kernel_size[1] // 2 * self.dilation[1] - 1
        # 1 // size is 1 for a size of 1 and 0 for others, without a branch that an exported graph would decide on.
        padding = [left, left + 1 + 1 // x.shape[3], above, above + 1 + 1 // x.shape[2]]
        x = functional.pad(x, padding, "constant" if self.padding_mode == "zeros" else self.padding_mode)
        return functional.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def same_conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, *, size: int, groups: int = 1
) -> nn.Conv2d:
    """A convolution without bias with TensorFlow's SAME padding for an input of known size.

    Args:
        in_channels, out_channels, groups: of the convolution.
        kernel_size: an odd number.
        stride: 1 or 2.
        size: height and width of the input for which the padding is computed.
    """
    kind = StaticSameConv2d if stride == 2 and size % 2 == 0 else nn.Conv2d
    return kind(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)


class Swish(nn.Module):
    """x * sigmoid(x), elementwise, as the product and not as torch's fused form, from which it differs by rounding.

    Normalisation by small batches, and gates of large maps, amplify that: the product repeats what published models do.
    """

    def inference_form(self, walk: Walk) -> nn.Module:  # noqa: ARG002
        """See `smp_core.inference.HasInferenceForm`: torch's own, which reads and writes the map once."""
        return nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (Hu et al., arXiv:1709.01507): (N, channels, H, W) -> the same, each channel gated.

    Args:
        channels: of the map.
        reduced_channels: width of the gate's hidden layer.
    """

    def __init__(self, channels: int, reduced_channels: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, reduced_channels, 1)
        self.act = Swish()
        self.conv_expand = nn.Conv2d(reduced_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3), keepdim=True)
        gate = torch.sigmoid(self.conv_expand(self.act(self.conv_reduce(pooled))))
        return x * gate


def activation_layer(name: str) -> nn.Module:
    """``"swish"`` or ``"relu6"`` as a module."""
    return Swish() if name == "swish" else nn.ReLU6(inplace=True)


class DepthwiseSeparable(nn.Module):
    """Depth-wise convolution, gate, 1x1 convolution: (N, in_channels, H, W) -> (N, out_channels, H, W).

    The block of the first stage, which does not expand.

    Args:
        in_channels, out_channels: of the maps; there is a shortcut where they are equal.
        kernel_size: of the depth-wise convolution.
        activation: ``"swish"`` or ``"relu6"``.
        squeeze_excite: whether there is a gate.
        drop_path: rate of `DropPath`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        activation: str,
        squeeze_excite: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.has_shortcut = in_channels == out_channels
        self.conv_dw = nn.Conv2d(
            in_channels, in_channels, kernel_size, padding=kernel_size // 2, groups=in_channels, bias=False
        )
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.act = activation_layer(activation)
        self.se = SqueezeExcite(in_channels, in_channels // 4) if squeeze_excite else nn.Identity()
        self.conv_pw = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.se(self.act(self.bn1(self.conv_dw(x))))
        out = self.bn2(self.conv_pw(out))
        if self.has_shortcut:
            out = self.drop_path(out) + x
        return out


class InvertedResidual(nn.Module):
    """1x1 expansion, depth-wise convolution, gate, 1x1 projection: (N, in_channels, H, W) -> (N, out_channels, ...).

    Args:
        in_channels, out_channels: of the maps; there is a shortcut where they are equal and the stride is 1.
        kernel_size, stride: of the depth-wise convolution.
        expansion: of its width, relative to ``in_channels``.
        activation: ``"swish"`` or ``"relu6"``.
        squeeze_excite: whether there is a gate; its hidden width is a quarter of ``in_channels``.
        drop_path: rate of `DropPath`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        expansion: int,
        *,
        activation: str,
        squeeze_excite: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        self.has_shortcut = stride == 1 and in_channels == out_channels
        self.conv_pw = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv_dw = nn.Conv2d(width, width, kernel_size, stride, padding=kernel_size // 2, groups=width, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act = activation_layer(activation)
        self.se = SqueezeExcite(width, in_channels // 4) if squeeze_excite else nn.Identity()
        self.conv_pwl = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.bn1(self.conv_pw(x)))
        out = self.se(self.act(self.bn2(self.conv_dw(out))))
        out = self.bn3(self.conv_pwl(out))
        if self.has_shortcut:
            out = self.drop_path(out) + x
        return out


class MBConv(nn.Module):
    """Both kinds of block, as the TensorFlow weights name them: (N, in_channels, H, W) -> (N, out_channels, ...).

    Its batch norms have TensorFlow's constants, and its padding is TensorFlow's.

    Args:
        in_channels, out_channels: of the maps; there is a shortcut where they are equal and the stride is 1.
        kernel_size, stride: of the depth-wise convolution.
        expansion: of its width, relative to ``in_channels``; 1 means no expanding convolution.
        size: nominal height and width of the input, for which the padding is computed.
        drop_path: rate of `DropConnect`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        expansion: int,
        *,
        size: int,
        drop_path: float,
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        self.has_shortcut = stride == 1 and in_channels == out_channels
        self.has_expansion = expansion > 1
        expand: nn.Module = nn.Identity()
        norm: nn.Module = nn.Identity()
        if self.has_expansion:
            expand, norm = nn.Conv2d(in_channels, width, 1, bias=False), tf_batch_norm(width)
        self._expand_conv, self._bn0 = expand, norm
        self._depthwise_conv = same_conv(width, width, kernel_size, stride, size=size, groups=width)
        self._bn1 = tf_batch_norm(width)
        self._se_reduce = nn.Conv2d(width, in_channels // 4, 1)
        self._se_expand = nn.Conv2d(in_channels // 4, width, 1)
        self._project_conv = nn.Conv2d(width, out_channels, 1, bias=False)
        self._bn2 = tf_batch_norm(out_channels)
        self.act = nn.SiLU(inplace=True)
        self.drop_path = DropConnect(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x
        if self.has_expansion:
            out = self.act(self._bn0(self._expand_conv(x)))
        out = self.act(self._bn1(self._depthwise_conv(out)))
        pooled = out.mean((2, 3), keepdim=True)
        out = out * torch.sigmoid(self._se_expand(self.act(self._se_reduce(pooled))))
        out = self._bn2(self._project_conv(out))
        if self.has_shortcut:
            out = self.drop_path(out) + x
        return out


def tf_batch_norm(channels: int) -> nn.BatchNorm2d:
    """A batch norm with the constants of the TensorFlow models."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def initialise(encoder: nn.Module) -> None:
    """Normal weights of the deviation sqrt(2 / fan out), groups counted, and no biases, as the TensorFlow models."""
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d):
            rows, columns = layer.kernel_size
            fan_out = rows * columns * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, 0.0, (2.0 / fan_out) ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
