"""The two attentions of PAN (Li et al., arXiv:1805.10180): over a pyramid, and from a deep feature to a shallow one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.layers import PooledBatchNorm2d
from smp_core.layers.recording import is_proxy, is_recording


class ConvNorm(nn.Module):
    """Convolution with bias, batch norm and, on request, ReLU: (N, in_channels, H, W) -> (N, out_channels, H, W).

    State-dict keys: ``conv`` and ``bn``. The norm takes a single pixel of a single image, to which several of these
    come down.

    Args:
        in_channels, out_channels: number of channels.
        kernel_size: odd; padded to keep the size.
        relu: whether ReLU follows.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.bn = PooledBatchNorm2d(out_channels)
        self.activation = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.bn(self.conv(x)))
        return out


class FPABlock(nn.Module):
    """Feature pyramid attention: (N, in_channels, H, W) -> (N, out_channels, H, W).

    A map of one channel, seen at a half, a quarter and an eighth, weighs the projected input; the projected mean of the
    image is added.

    Args:
        in_channels, out_channels: number of channels.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.branch1 = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNorm(in_channels, out_channels, 1))
        self.mid = nn.Sequential(ConvNorm(in_channels, out_channels, 1))
        self.down1 = nn.Sequential(nn.MaxPool2d(2), ConvNorm(in_channels, 1, 7))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), ConvNorm(1, 1, 5))
        self.down3 = nn.Sequential(nn.MaxPool2d(2), ConvNorm(1, 1, 3), ConvNorm(1, 1, 3))
        self.conv2 = ConvNorm(1, 1, 5)
        self.conv1 = ConvNorm(1, 1, 7)
        # Pooled three times by two, a smaller map would leave nothing.
        self.smallest = 8

    def forward(self, x: Tensor) -> Tensor:
        weights = _cut(self._pyramid(_enlarge_tiny(x, self.smallest)), x.shape[2], x.shape[3])
        mean: Tensor = self.branch1(x)
        projected: Tensor = self.mid(x)
        # One pass: mean is one value a channel.
        return torch.addcmul(mean, projected, weights)

    def _pyramid(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, 1, H, W), H and W at least 8."""
        half: Tensor = self.down1(x)
        quarter: Tensor = self.down2(half)
        quarter = self.conv2(quarter) + self._deepest(quarter)
        half = self.conv1(half) + _resize(quarter, half.shape[2], half.shape[3])
        return _resize(half, x.shape[2], x.shape[3])

    def _deepest(self, quarter: Tensor) -> Tensor:
        """What the eighth adds to the quarter: (N, 1, H, W), same out."""
        if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
            # In training the zeros would count in the statistics, and `torch.fx` asks for sizes when a map comes.
            if is_recording(quarter) and not is_proxy(quarter) and not self.training:
                return self._deepest_of_any_size(quarter)
        return _resize(self.down3(quarter), quarter.shape[2], quarter.shape[3])

    def _deepest_of_any_size(self, quarter: Tensor) -> Tensor:
        """As `_deepest`, with a row and a column more, of zeros, in every map.

        The eighth may be a single pixel, and a graph with such a map holds for no other size.
        """
        height, width = quarter.shape[2], quarter.shape[3]
        pool, first, second = self.down3
        rows, columns = _is_below(height // 2, quarter), _is_below(width // 2, quarter)
        inside = rows[:, None] * columns
        # Not padding, which ONNX Runtime would merge into the pooling, which takes no padding as large as its window.
        x = torch.cat([quarter, quarter.new_zeros(quarter.shape[0], 1, 2, width)], dim=2)
        x = torch.cat([x, x.new_zeros(quarter.shape[0], 1, height + 2, 2)], dim=3)
        x = first(pool(x) * inside) * inside
        x = second(x)
        # Products of as many matrices as images: torch would fold one matrix by asking for its strides.
        upper = _interpolation(height, height // 2, x).expand(x.shape[0], -1, -1)
        right = _interpolation(width, width // 2, x).t().expand(x.shape[0], -1, -1)
        return torch.bmm(torch.bmm(upper, x.squeeze(1)), right).unsqueeze(1)


class GAUBlock(nn.Module):
    """Global attention upsample: a deep map enlarged, plus a shallow one weighed by a gate of the deep one's means.

    Args:
        in_channels: channels of the shallow map.
        out_channels: channels of the deep map and of the result.
        interpolation: mode of the upsampling; ``bilinear`` aligns corners.
    """

    def __init__(self, in_channels: int, out_channels: int, interpolation: str) -> None:
        super().__init__()
        self.interpolation = interpolation
        self.align_corners: bool | None = True if interpolation == "bilinear" else None
        self.conv1 = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), ConvNorm(out_channels, out_channels, 1, relu=False), nn.Sigmoid()
        )
        self.conv2 = ConvNorm(in_channels, out_channels, 3)

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """(N, in_channels, H, W) and (N, out_channels, h, w) -> (N, out_channels, H, W)."""
        size = [shallow.shape[2], shallow.shape[3]]
        x: Tensor = self.conv2(shallow)
        gate: Tensor = self.conv1(deep)
        deep = functional.interpolate(deep, size=size, mode=self.interpolation, align_corners=self.align_corners)
        return torch.addcmul(deep, x, gate)


def _resize(x: Tensor, height: int, width: int) -> Tensor:
    return functional.interpolate(x, size=[height, width], mode="bilinear", align_corners=True)


def _is_below(size: int, like: Tensor) -> Tensor:
    """``size`` ones and a zero."""
    return (torch.arange(size + 1, device=like.device) < size).to(like.dtype)


def _interpolation(resized: int, size: int, like: Tensor) -> Tensor:
    """The matrix that interpolates ``size`` values, corners aligned, and ignores one more: (resized, size + 1)."""
    place = torch.arange(resized, device=like.device)[:, None] * (size - 1) / (resized - 1)
    distance = (place - torch.arange(size + 1, device=like.device)).abs()
    return (1 - distance).clamp(min=0).to(like.dtype)


def _cut(x: Tensor, height: int, width: int) -> Tensor:
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if is_recording(x):
            # A slice up to a symbolic size has to be proved no larger than the map.
            rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
            return x.index_select(2, rows).index_select(3, columns)
    return x[:, :, :height, :width]


def _enlarge_tiny(x: Tensor, smallest: int) -> Tensor:
    """Bring a map to the smallest size at least, by repeating its last row and column."""
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if is_recording(x):
            # One graph for every size: the repetition is written so that it holds also where there is none.
            return _repeat_last(_repeat_last(x, 2, smallest), 3, smallest)
    rows, columns = max(smallest - x.shape[2], 0), max(smallest - x.shape[3], 0)
    if rows + columns == 0:
        return x
    return functional.pad(x, [0, columns, 0, rows], mode="replicate")


def _repeat_last(x: Tensor, dim: int, smallest: int) -> Tensor:
    size = x.shape[dim]
    # While a trace is recorded, sizes are tensors.
    length: Any = torch.as_tensor(size).clamp(min=smallest) if torch.jit.is_tracing() else torch.sym_max(size, smallest)
    places = torch.arange(length, device=x.device)
    return x.index_select(dim, places.clamp(max=size - 1))
