"""Dense layers and dense blocks of DenseNet (Huang et al., arXiv:1608.06993)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_core.inference import Walk
from smp_densenet.eager import can_share_buffer, run_with_buffer


class DenseLayer(nn.Module):
    """A bottleneck of 1x1 and 3x3 convolutions, each after its norm and ReLU: (N, C, H, W) -> (N, growth, H, W).

    Args:
        in_channels: channels of the block's input and of all layers before this one.
        growth: channels of the result.
        bottleneck: channels between the convolutions, in units of ``growth``.
    """

    def __init__(self, in_channels: int, growth: int, bottleneck: int) -> None:
        super().__init__()
        inner = bottleneck * growth
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(inner, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.grow(self.conv1(self.relu1(self.norm1(x))))

    def grow(self, x: Tensor) -> Tensor:
        """The second half: (N, bottleneck * growth, H, W) -> (N, growth, H, W)."""
        # One name for all, so that without gradients each map is freed once the next one is there.
        x = self.norm2(x)
        x = self.relu2(x)
        x = self.conv2(x)
        return x


class DenseBlock(nn.Sequential):
    """Dense layers, each of which sees the block's input and all results before its own.

    (N, in_channels, H, W) -> (N, in_channels + layers * growth, H, W). Compiled, exported and scripted, and wherever
    the layers are not as they were built, the plain form runs; otherwise that of `smp_densenet.eager`.
    """

    def __init__(self, layers: int, in_channels: int, growth: int, bottleneck: int) -> None:
        super().__init__()
        for index in range(layers):
            self.add_module(f"denselayer{index + 1}", DenseLayer(in_channels + index * growth, growth, bottleneck))

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: a folded layer is called, its norm is gone."""
        return walk.parts(self)

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():  # TorchScript skips a branch only under this very condition
            layers = list(self.children())
            if can_share_buffer(layers, DenseLayer, x):  # type: ignore[arg-type]
                return run_with_buffer(layers, x)  # type: ignore[arg-type]
        for layer in self:
            x = torch.cat([x, layer(x)], dim=1)
        return x
