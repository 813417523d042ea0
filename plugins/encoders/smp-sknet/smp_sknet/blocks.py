"""Selective kernels (Li et al., arXiv:1903.06586): two branches of different receptive fields, weighed per image.

Module names are timm's, so that published weights load as they are.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from smp_core.errors import OptionError
from smp_core.layers import PooledBatchNorm2d


class ConvNorm(nn.Module):
    """Bias-free convolution and batch norm, ReLU where asked for: (N, in_channels, H, W) -> (N, out_channels, ...).

    Args:
        in_channels, out_channels: of the maps.
        kernel_size, stride, dilation, groups: of the convolution; it is padded to keep the size, strides apart.
        relu: whether a ReLU follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        dilation: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        super().__init__()
        padding = kernel_size // 2 * dilation
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.act: nn.Module = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.bn(self.conv(x)))
        return out


class SelectiveKernelAttention(nn.Module):
    """The shares of two branches, from their pooled sum: (N, channels, 1, 1) -> (N, 2, channels, 1, 1).

    Args:
        channels: of a branch.
        reduced_channels: width of the hidden layer.
    """

    def __init__(self, channels: int, reduced_channels: int) -> None:
        super().__init__()
        self.fc_reduce = nn.Conv2d(channels, reduced_channels, 1, bias=False)
        self.bn = PooledBatchNorm2d(reduced_channels)  # trains on a batch of one image
        self.act = nn.ReLU(inplace=True)
        self.fc_select = nn.Conv2d(reduced_channels, 2 * channels, 1, bias=False)

    def forward(self, pooled: Tensor) -> Tensor:
        scores: Tensor = self.fc_select(self.act(self.bn(self.fc_reduce(pooled))))
        shares: Tensor = scores.unflatten(1, (2, -1)).softmax(dim=1)
        return shares


class SelectiveKernel(nn.Module):
    """Two 3x3 branches, one of them dilated, each on half of the channels, and their weighted mean.

    (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride).

    Args:
        in_channels, out_channels: of the maps.
        stride, groups: of both branches.
        reduction: ``out_channels`` / width of the attention's hidden layer.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, groups: int, reduction: int) -> None:
        super().__init__()
        half = in_channels // 2
        self.paths = nn.ModuleList(
            ConvNorm(half, out_channels, 3, stride, dilation=dilation, groups=groups) for dilation in (1, 2)
        )
        self.attn = SelectiveKernelAttention(out_channels, out_channels // reduction)

    def forward(self, x: Tensor) -> Tensor:
        halves = x.chunk(2, dim=1)
        first: Tensor = self.paths[0](halves[0])
        second: Tensor = self.paths[1](halves[1])
        shares: Tensor = self.attn((first + second).mean((2, 3), keepdim=True))
        return first * shares[:, 0] + second * shares[:, 1]


class SelectiveKernelBasic(nn.Module):
    """A selective kernel, a 3x3 convolution and a shortcut: (N, in_channels, H, W) -> (N, width, H / stride, ...).

    Args:
        in_channels: channels of the input.
        width: channels of the result.
        stride: of the selective kernel and of the shortcut.
    """

    expansion: ClassVar[int] = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = SelectiveKernel(in_channels, width, stride, groups=1, reduction=8)
        self.conv2 = ConvNorm(width, width, 3, relu=False)
        self.act = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x))
        out += self.downsample(x)
        out = self.act(out)
        return out


class SelectiveKernelBottleneck(nn.Module):
    """1x1, a selective kernel of 32 groups, 1x1, a shortcut: (N, in_channels, H, W) -> (N, 4 * width, H / stride, ...).

    Args:
        in_channels: channels of the input.
        width: a quarter of the channels of the result, and half of those of the selective kernel.
        stride: of the selective kernel and of the shortcut.
    """

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        inner, out_channels = 2 * width, width * self.expansion
        self.conv1 = ConvNorm(in_channels, inner, 1)
        self.conv2 = SelectiveKernel(inner, inner, stride, groups=32, reduction=16)
        self.conv3 = ConvNorm(inner, out_channels, 1, relu=False)
        self.act = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(self.conv2(self.conv1(x)))
        out += self.downsample(x)
        out = self.act(out)
        return out


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


_BLOCKS: dict[str, type[SelectiveKernelBasic] | type[SelectiveKernelBottleneck]] = {
    "basic": SelectiveKernelBasic,
    "bottleneck": SelectiveKernelBottleneck,
}


def find_block(name: str) -> type[SelectiveKernelBasic] | type[SelectiveKernelBottleneck]:
    """The block of a name.

    Raises:
        OptionError: there is none of that name.
    """
    if name not in _BLOCKS:
        raise OptionError(f"unknown block {name!r}; expected one of {', '.join(_BLOCKS)}")
    return _BLOCKS[name]
