"""The two attention blocks of MAnet: between positions, and between channels of two scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.inference import Walk
from smp_core.layers import (
    ChannelGate,
    ConvNormAct,
    UpsampleConcatBlock,
    channels_innermost,
    is_stock,
    laid_out_for,
    may_fuse,
)
from smp_core.layers.norm import Norm
from smp_core.layers.recording import is_eager, is_recording

# Upsampled twofold in these modes, a map has the mean that it had, borders included; bicubic weighs borders otherwise.
_KEEP_THE_MEAN = ("nearest", "nearest-exact", "area", "bilinear")

# What makes the gate of a channel one value for the whole map.
_ONE_PIXEL = {"output_size": 1}


class PositionAttention(nn.Module):
    """Position-wise attention block (PAB): (N, channels, H, W), same out.

    One softmax runs over all pairs of positions, not over each row. The attended map, positions by channels, is
    reshaped, not transposed, back to channels by positions; trained checkpoints rely on it.

    Args:
        channels: channels of the map.
        score_channels: channels in which positions are compared.
    """

    def __init__(self, channels: int, score_channels: int) -> None:
        super().__init__()
        self.top_conv = nn.Conv2d(channels, score_channels, 1)
        self.center_conv = nn.Conv2d(channels, score_channels, 1)
        self.bottom_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.out_conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if is_recording(x):
            # The attended map has its rows innermost, and a sum of two layouts is one of some sizes alone.
            x = x.contiguous()
        if not torch.jit.is_scripting():
            x = laid_out_for(x, self.bottom_conv)
        num_positions = x.shape[2] * x.shape[3]
        keys = self.top_conv(x).flatten(2)
        queries = self.center_conv(x).flatten(2).transpose(1, 2)
        values = self.bottom_conv(x).flatten(2).transpose(1, 2)
        scores = torch.bmm(queries, keys)
        # softmax = exp(scores - largest) / total. The scores become the exponentials in place, and the small result is
        # divided, so that there is one map of (H * W)^2 entries and never a second. Softmax does not change when its
        # arguments are shifted, so the largest is a constant for the gradient.
        weights = scores.sub_(scores.detach().amax(dim=(1, 2), keepdim=True)).exp_()
        # Divided in two steps, each by at most H * W: the total of (H * W)^2 entries is more than half precision holds.
        total = weights.sum(dim=2, keepdim=True).mean(dim=1, keepdim=True)
        attended = torch.bmm(weights, values / num_positions) / total
        joined = x + attended.reshape(x.shape)
        if not torch.jit.is_scripting():
            joined = laid_out_for(joined, self.out_conv)
        out: Tensor = self.out_conv(joined)
        return out


class FusionBlock(UpsampleConcatBlock):
    """Multi-scale fusion attention block (MFAB): gate the channels of the map from below, join it with the skip.

    Args:
        in_channels: channels of the map from below.
        skip_channels: channels of the skip.
        out_channels: channels of the result.
        norm: see `smp_core.layers.build_norm`.
        interpolation: mode of the upsampling.
        squeeze: the gates squeeze skip_channels to at least one, at most skip_channels // squeeze.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        *,
        norm: Norm,
        interpolation: str,
        squeeze: int = 16,
    ) -> None:
        super().__init__(interpolation)
        self.skip_channels = skip_channels
        self.hl_conv = nn.Sequential(
            ConvNormAct(in_channels, in_channels, kernel_size=3, padding=1, norm=norm),
            ConvNormAct(in_channels, skip_channels, kernel_size=1, norm=norm),
        )
        squeezed = max(1, skip_channels // squeeze)
        self.SE_ll = ChannelGate(skip_channels, squeezed)
        self.SE_hl = ChannelGate(skip_channels, squeezed)
        self.conv1 = self.join(2 * skip_channels, out_channels, norm)
        self.conv2 = ConvNormAct(out_channels, out_channels, kernel_size=3, padding=1, norm=norm)
        self.pools_upsampled = interpolation not in _KEEP_THE_MEAN

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: with its kernel at hand."""
        return self.prepared(walk, self.skip_channels)

    def forward(self, x: Tensor, skip: Tensor | None, height: int, width: int) -> Tensor:
        """(N, in_channels, h, w) and (N, skip_channels, height, width) -> (N, out_channels, height, width)."""
        assert skip is not None
        x = self.hl_conv(x)
        if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
            if is_eager(x) and not skip.is_contiguous():
                x = channels_innermost(x)  # again; it has few channels now
        if not torch.jit.is_scripting():
            fuses = may_fuse(x) and self.has_stock_parts()
            x = self.gated(x, skip, height, width) if fuses else self.plain(x, skip, height, width)
        elif self.fuses_in_script:
            x = self.gated(x, skip, height, width)
        else:
            x = self.plain(x, skip, height, width)
        out: Tensor = self.conv2(x)
        return out

    def plain(self, x: Tensor, skip: Tensor, height: int, width: int) -> Tensor:
        """Upsample, gate, concatenate and call ``conv1``."""
        x = functional.interpolate(x, size=[height, width], mode=self.interpolation)
        out: Tensor = self.conv1(torch.cat([x * (self.SE_hl(x) + self.SE_ll(skip)), skip], dim=1))
        return out

    def has_stock_parts(self) -> bool:
        """See `smp_core.layers.Fusing`; a gate that scales whole channels does so at any size."""
        for gate in (self.SE_hl, self.SE_ll):
            if not is_stock(gate, ChannelGate) or not is_stock(gate[0], nn.AdaptiveAvgPool2d, _ONE_PIXEL):
                return False
        return super().has_stock_parts()

    def gated(self, x: Tensor, skip: Tensor, height: int, width: int) -> Tensor:
        """As `plain`. Interpolation is linear: so the small map is gated, not the upsampled one."""
        pooled = x
        if self.pools_upsampled:
            pooled = functional.interpolate(x, size=[height, width], mode=self.interpolation)
        return self.fused(x * (self.SE_hl(pooled) + self.SE_ll(skip)), skip, height, width, None)
