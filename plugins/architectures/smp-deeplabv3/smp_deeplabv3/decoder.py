"""The decoders of DeepLabV3 (Chen et al., arXiv:1706.05587) and DeepLabV3+ (Chen et al., arXiv:1802.02611)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.layers import SeparableConv2d, initialise_decoder
from smp_deeplabv3.aspp import ASPP, norm_relu

LOW_LEVEL_REDUCTION = 4
LOW_LEVEL_CHANNELS = 48


class DeepLabV3Decoder(nn.Module):
    """`ASPP` and a 3x3 convolution on the deepest feature.

    Args:
        in_channels: channels of the deepest feature.
        reduction: of the deepest feature.
        out_channels: channels of the result.
        rates, separable, dropout: see `ASPP`.

    Attributes:
        out_channels, reduction: of the result.
    """

    def __init__(
        self,
        in_channels: int,
        reduction: int,
        out_channels: int,
        rates: Iterable[int],
        *,
        separable: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.reduction = reduction
        self.aspp = ASPP(in_channels, out_channels, rates, separable=separable, dropout=dropout)
        self.conv = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        initialise_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features, (N, in_channels, h, w) the last -> (N, out_channels, h, w)."""
        out: Tensor = self.relu(self.bn(self.conv(self.aspp(features[-1]))))
        return out

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # Checkpoints of before the parts had names number them. torch hands every module a dict of its own.
        for old, new in (("0.", "aspp."), ("1.", "conv."), ("2.", "bn.")):
            for key in [key for key in state_dict if key.startswith(prefix + old)]:
                state_dict[prefix + new + key.removeprefix(prefix + old)] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class DeepLabV3PlusDecoder(nn.Module):
    """`ASPP` on the deepest feature, enlarged and refined with the feature at a quarter of the resolution.

    Args:
        encoder_channels: ``out_channels`` of the encoder.
        encoder_reductions: ``reductions`` of the encoder.
        out_channels: channels of the result.
        rates, separable, dropout: see `ASPP`.

    Attributes:
        out_channels, reduction: of the result.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_reductions: Sequence[int],
        out_channels: int,
        rates: Iterable[int],
        *,
        separable: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.reduction = LOW_LEVEL_REDUCTION
        self.low_level = list(encoder_reductions).index(LOW_LEVEL_REDUCTION)
        self.aspp = nn.Sequential(
            ASPP(encoder_channels[-1], out_channels, rates, separable=separable, dropout=dropout),
            *norm_relu(out_channels, SeparableConv2d(out_channels, out_channels)),
        )
        self.block1 = norm_relu(
            LOW_LEVEL_CHANNELS, nn.Conv2d(encoder_channels[self.low_level], LOW_LEVEL_CHANNELS, 1, bias=False)
        )
        self.block2 = norm_relu(out_channels, SeparableConv2d(out_channels + LOW_LEVEL_CHANNELS, out_channels))
        initialise_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, out_channels, H / 4, W / 4)."""
        low: Tensor = self.block1(features[self.low_level])
        x: Tensor = self.aspp(features[-1])
        x = functional.interpolate(x, size=[low.shape[2], low.shape[3]], mode="bilinear", align_corners=True)
        out: Tensor = self.block2(torch.cat([x, low], dim=1))
        return out
