"""The decoder of PAN (Li et al., Pyramid Attention Network for Semantic Segmentation, arXiv:1805.10180)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from smp_core.layers import initialise_decoder
from smp_core.layers.upsample import check_interpolation
from smp_pan.attention import FPABlock, GAUBlock

_SHALLOWEST = 4


class PANDecoder(nn.Module):
    """`FPABlock` on the deepest feature, then one `GAUBlock` for each shallower one up to a quarter of the resolution.

    Args:
        encoder_channels: ``out_channels`` of the encoder.
        encoder_reductions: ``reductions`` of the encoder; with a feature at 1/4 that is not the last.
        out_channels: channels of the decoder.
        interpolation: mode of the upsampling in the gated blocks.

    Attributes:
        out_channels, reduction: of the result.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_reductions: Sequence[int],
        out_channels: int,
        *,
        interpolation: str = "bilinear",
    ) -> None:
        super().__init__()
        check_interpolation(interpolation)
        self.out_channels = out_channels
        self.reduction = _SHALLOWEST
        self.first = list(encoder_reductions).index(_SHALLOWEST)
        skips = list(encoder_channels[self.first : -1])
        self.fpa = FPABlock(encoder_channels[-1], out_channels)
        # gau1 belongs to the feature at 1/4; a shallow encoder has fewer.
        self.gau3 = GAUBlock(skips[2], out_channels, interpolation) if len(skips) > 2 else None
        self.gau2 = GAUBlock(skips[1], out_channels, interpolation) if len(skips) > 1 else None
        self.gau1 = GAUBlock(skips[0], out_channels, interpolation)
        initialise_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, out_channels, H / 4, W / 4)."""
        x: Tensor = self.fpa(features[-1])
        if self.gau3 is not None:
            x = self.gau3(features[self.first + 2], x)
        if self.gau2 is not None:
            x = self.gau2(features[self.first + 1], x)
        x = self.gau1(features[self.first], x)
        return x
