"""MobileOne's block in its two forms (Vasu et al., arXiv:2206.04040): branches to train, one convolution to use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smp_core.errors import CreationError
from smp_core.inference import Walk
from smp_core.layers import is_stock, may_fuse
from smp_core.layers.recording import is_eager

# What makes a strided 1x1 convolution one of every other pixel.
_STRIDED = {"kernel_size": (1, 1), "padding": (0, 0), "padding_mode": "zeros"}

# Of the convolution in a branch.
_MERGING = {"padding_mode": "zeros", "bias": None}


class ConvNorm(nn.Module):
    """Convolution and batch norm: (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride).

    Args:
        in_channels, out_channels, kernel, stride, groups: of the convolution, which has no bias.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.is_strided = kernel == 1 and stride > 1

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: the convolution, whose norm is in it."""
        return walk.parts(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self._convolve_strided(x) if self.is_strided else self.conv(x)
        out: Tensor = self.bn(x)
        return out

    def _convolve_strided(self, x: Tensor) -> Tensor:
        """A strided 1x1 convolution; torch's own (2.14, on the CPU) reaches beyond its memory in the backward pass.

        It does so for images of a few channels where they or the weight have their channels innermost.
        """
        if not torch.jit.is_scripting():
            # A recorded graph is not trained.
            if may_fuse(x) and is_eager(x) and is_stock(self.conv, nn.Conv2d, _STRIDED):
                rows, columns = self.conv.stride
                return F.conv2d(x[:, :, ::rows, ::columns], self.conv.weight, self.conv.bias, groups=self.conv.groups)
            x = x.contiguous()
        out: Tensor = self.conv(x)
        return out


class SqueezeExcite(nn.Module):
    """Channel attention (Hu et al., arXiv:1709.01507): (N, C, H, W) -> (N, C, H, W).

    Args:
        channels: C.
        squeeze: C over the width of the bottleneck.
    """

    def __init__(self, channels: int, squeeze: int = 16) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // squeeze, 1)
        self.expand = nn.Conv2d(channels // squeeze, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.relu(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.expand(gate))


class MobileOneBlock(nn.Module):
    """The sum of parallel branches, then ReLU: (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride).

    The branches are ``num_branches`` equal convolutions, beside a 3x3 one a 1x1 convolution, and where the shapes allow
    it the input; each with its batch norm. `merged` gives the one convolution that they amount to.

    Args:
        in_channels, out_channels, kernel, stride, groups: of the convolutions; the kernel is 1 or 3.
        num_branches: number of equal convolutions.
        attention: scale the channels of the sum, see `SqueezeExcite`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        *,
        num_branches: int = 1,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.se: nn.Module = SqueezeExcite(out_channels) if attention else nn.Identity()
        self.activation = nn.ReLU(inplace=True)
        self.rbr_skip: nn.Module | None = None
        if in_channels == out_channels and stride == 1:
            self.rbr_skip = nn.BatchNorm2d(in_channels)
        self.rbr_conv = nn.ModuleList(
            ConvNorm(in_channels, out_channels, kernel, stride, groups) for _ in range(num_branches)
        )
        self.rbr_scale: nn.Module | None = None
        if kernel > 1:
            self.rbr_scale = ConvNorm(in_channels, out_channels, 1, stride, groups)

    def forward(self, x: Tensor) -> Tensor:
        # The order of the sum is that in which published weights were trained. Not in place: a branch may be replaced
        # by one whose result is its input.
        out: Tensor | None = None
        if self.rbr_scale is not None:
            out = self.rbr_scale(x)
        if self.rbr_skip is not None:
            skipped: Tensor = self.rbr_skip(x)
            out = skipped if out is None else out + skipped
        for branch in self.rbr_conv:
            convolved: Tensor = branch(x)
            out = convolved if out is None else out + convolved
        assert out is not None
        out = self.activation(self.se(out))
        return out

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: merged, where its branches are as they were built."""
        if any(not is_stock(part, kind, assumed) for _, part, kind, assumed in self._merging()):
            return walk.parts(self)
        block = self.merged()
        block.se, block.activation = walk(block.se), walk(block.activation)
        return block

    def merged(self) -> MergedBlock:
        """A block of one convolution with the same numbers as this one in evaluation mode.

        Raises:
            CreationError: a batch norm is in training mode, where it uses the statistics of the batch; or a part that
                would be merged is not as it was built.
        """
        changed = [name for name, part, kind, assumed in self._merging() if not is_stock(part, kind, assumed)]
        if changed:
            raise CreationError(
                f"a MobileOne block merges branches of plain convolutions and batch norms, and {', '.join(changed)} "
                "was replaced, wrapped, hooked or changed; undo that first, or keep the block as it is"
            )
        branches = [branch for branch in (*self.rbr_conv, self.rbr_scale) if isinstance(branch, ConvNorm)]
        main = branches[0].conv
        kernel = torch.zeros_like(main.weight, dtype=torch.float64)
        bias = kernel.new_zeros(main.out_channels)
        for branch in branches:
            scale, shift = _scale_and_shift(branch.bn)
            rows = (kernel.shape[2] - branch.conv.kernel_size[0]) // 2
            columns = (kernel.shape[3] - branch.conv.kernel_size[1]) // 2
            kernel += F.pad(branch.conv.weight.double() * scale[:, None, None, None], (columns, columns, rows, rows))
            bias += shift
        if isinstance(self.rbr_skip, nn.BatchNorm2d):
            scale, shift = _scale_and_shift(self.rbr_skip)
            channel = torch.arange(main.out_channels, device=kernel.device)
            kernel[channel, channel % kernel.shape[1], kernel.shape[2] // 2, kernel.shape[3] // 2] += scale
            bias += shift
        return MergedBlock(main, kernel, bias, self.se, self.activation)

    def _merging(self) -> Iterator[tuple[str, Any, type[nn.Module], Mapping[str, object]]]:
        """The parts that `merged` does not keep: name, part, and what each must be."""
        for name, branch in [*self.rbr_conv.named_children(), ("rbr_scale", self.rbr_scale)]:
            if branch is not None:
                title = name if name == "rbr_scale" else f"rbr_conv.{name}"
                yield title, branch, ConvNorm, {}
                if isinstance(branch, ConvNorm):
                    yield f"{title}.conv", branch.conv, nn.Conv2d, _MERGING
                    yield f"{title}.bn", branch.bn, nn.BatchNorm2d, {}
        if self.rbr_skip is not None:
            yield "rbr_skip", self.rbr_skip, nn.BatchNorm2d, {}


class MergedBlock(nn.Module):
    """The inference form of a `MobileOneBlock`: one convolution with a bias, attention where it had some, ReLU.

    Args:
        like: the convolution that it replaces: channels, stride, padding, dilation, groups, dtype and device.
        kernel, bias: of the new convolution.
        attention: what scales the channels, or `torch.nn.Identity`; taken as it is.
        activation: likewise.
    """

    def __init__(
        self, like: nn.Conv2d, kernel: Tensor, bias: Tensor, attention: nn.Module, activation: nn.Module
    ) -> None:
        super().__init__()
        rows, columns = like.kernel_size
        self.reparam_conv = nn.Conv2d(
            like.in_channels,
            like.out_channels,
            (rows, columns),
            (like.stride[0], like.stride[1]),
            (rows // 2 * like.dilation[0], columns // 2 * like.dilation[1]),
            (like.dilation[0], like.dilation[1]),
            like.groups,
            device="meta",
        )
        self.reparam_conv.weight = nn.Parameter(kernel.to(like.weight))
        self.reparam_conv.bias = nn.Parameter(bias.to(like.weight))
        self.se = attention
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.se(self.reparam_conv(x)))
        return out


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The batch norm as a product and a sum per channel, in float64."""
    if norm.training or norm.running_mean is None or norm.running_var is None:
        raise CreationError(
            "a MobileOne block merges with the running statistics of its batch norms, but it is in training mode, "
            "where they use those of the batch; call .eval() first"
        )
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.double() - norm.running_mean.double() * scale
