"""The parts of the Mix Transformer (Xie et al., arXiv:2105.15203).

Between the convolutions, maps are kept as (N, H, W, C): linear layers, norms and attention read their channels from
consecutive memory, and what a convolution sees of them is a channels-last view, not a copy.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smp_core.errors import OptionError
from smp_core.layers.recording import is_proxy


class DropPath(nn.Module):
    """Leave a residual branch out, for each image of the batch by itself (Huang et al., arXiv:1603.09382).

    Args:
        rate: probability, in training mode; what is kept is scaled by 1 / (1 - rate).

    Raises:
        OptionError: the rate is not in 0 <= rate < 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise OptionError(f"the drop path rate must be at least 0 and less than 1, got {rate}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) of the branch -> the same shape."""
        if self.training and self.rate > 0:
            x = x * x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(1 - self.rate).div_(1 - self.rate)
        return x

    def extra_repr(self) -> str:
        """The rate."""
        return f"rate={self.rate:g}"


class OverlapPatchEmbed(nn.Module):
    """Overlapping patches by a strided convolution, then a norm: (N, C, H, W) -> (N, H / stride, W / stride, width).

    Args:
        in_channels: C.
        width: channels of the result.
        kernel: edge of a patch.
        stride: distance between patches; below ``kernel``, so that they overlap.
    """

    def __init__(self, in_channels: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, width, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.proj(x).permute(0, 2, 3, 1))
        return out


class EfficientSelfAttention(nn.Module):
    """Self-attention whose keys and values come from a smaller map: (N, H, W, C) -> (N, H, W, C).

    Args:
        width: C.
        heads: number of heads; divides C.
        reduction: kernel and stride of the convolution that makes the smaller map; 1 leaves it out.
        is_dilated: whether that convolution will have the stride 1 and a padding that reaches over the smallest map.
    """

    def __init__(self, width: int, heads: int, reduction: int, *, is_dilated: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.reduction = reduction
        self.least = 1 if is_dilated else reduction
        self.sr = nn.Conv2d(width, width, reduction, reduction) if reduction > 1 else nn.Identity()
        self.norm = nn.LayerNorm(width) if reduction > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        head = channels // self.heads
        query = self.q(x).view(batch, height * width, self.heads, head).transpose(1, 2)
        smaller = self.norm(self._reduce(x)) if self.reduction > 1 else x
        pairs = self.kv(smaller).flatten(1, 2).unflatten(2, (2, self.heads, head))
        key, value = pairs.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, height, width, channels))
        return out

    def _reduce(self, x: Tensor) -> Tensor:
        """The smaller map of keys and values: (N, H, W, C) -> (N, H / reduction, W / reduction, C), rounded down.

        At least one token is returned: a map smaller than the kernel is filled up with zeros.
        """
        out: Tensor = self.sr(_fill(x, self.least).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return out


def _fill(x: Tensor, least: int) -> Tensor:
    """A map (N, H, W, C) with at least so many rows and columns; new ones are zeros."""
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if is_proxy(x):
            return x
    rows, columns = x.shape[1], x.shape[2]
    if rows >= least and columns >= least:
        return x
    return F.pad(x, (0, 0, 0, max(least - columns, 0), 0, max(least - rows, 0)))


class DepthwiseConv(nn.Module):
    """The 3x3 convolution that tells a token where it is: (N, H, W, C) -> (N, H, W, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dwconv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return out


class MixFFN(nn.Module):
    """Linear layer, depth-wise convolution, GELU, linear layer: (N, H, W, C) -> (N, H, W, C).

    Args:
        width: C.
        hidden: channels in between.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.dwconv(self.fc1(x))))
        return out


class Block(nn.Module):
    """Attention and feed-forward network, each behind a norm and beside a shortcut: (N, H, W, C) -> (N, H, W, C).

    Args:
        width: C.
        heads, reduction, is_dilated: see `EfficientSelfAttention`.
        expansion: width of the feed-forward network, as a multiple of C.
        drop_path: rate at which each of the two is left out in training mode, see `DropPath`.
    """

    def __init__(
        self, width: int, heads: int, reduction: int, expansion: int, drop_path: float, *, is_dilated: bool = False
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = EfficientSelfAttention(width, heads, reduction, is_dilated=is_dilated)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MixFFN(width, expansion * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out
