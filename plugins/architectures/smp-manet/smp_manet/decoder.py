"""The decoder of MAnet (Fan et al., MA-Net, IEEE Access 2020, doi:10.1109/ACCESS.2020.3025372)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from smp_core.layers import UnetBlock, decoder_widths, initialise_decoder, skip_indices
from smp_core.layers.norm import Norm
from smp_core.options import check_positive
from smp_manet.attention import FusionBlock, PositionAttention


class MAnetDecoder(nn.Module):
    """Position-wise attention on the deepest feature, then one block a level up to the resolution of the input.

    A level with a skip has a `FusionBlock`, one without a plain `smp_core.layers.UnetBlock`.

    Args:
        encoder_channels: ``out_channels`` of the encoder.
        encoder_reductions: ``reductions`` of the encoder, powers of two.
        decoder_channels: channels after each block, deepest first; see `smp_core.layers.decoder_widths`.
        pab_channels: channels of the position-wise attention's scores.
        norm: see `smp_core.layers.build_norm`.
        interpolation: mode of the upsampling.

    Attributes:
        out_channels, reduction: of the result.

    Raises:
        OptionError: an option has a value that it cannot take.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_reductions: Sequence[int],
        decoder_channels: Sequence[int],
        *,
        pab_channels: int = 64,
        norm: Norm = "batchnorm",
        interpolation: str = "nearest",
    ) -> None:
        super().__init__()
        widths = decoder_widths(decoder_channels, encoder_reductions)
        check_positive("decoder_pab_channels", pab_channels)
        self.skip_indices = skip_indices(encoder_reductions)
        self.center = PositionAttention(encoder_channels[-1], pab_channels)
        self.blocks = nn.ModuleList()
        in_channels = encoder_channels[-1]
        for index, width in zip(self.skip_indices, widths, strict=True):
            if index >= 0:
                block: nn.Module = FusionBlock(
                    in_channels, encoder_channels[index], width, norm=norm, interpolation=interpolation
                )
            else:
                block = UnetBlock(in_channels, 0, width, norm=norm, attention_type=None, interpolation=interpolation)
            self.blocks.append(block)
            in_channels = width
        self.out_channels = widths[-1]
        self.reduction = 1
        initialise_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, out_channels, H, W), the deepest one's size times its reduction."""
        x: Tensor = self.center(features[-1])
        for number, block in enumerate(self.blocks):
            index = self.skip_indices[number]
            skip: Tensor | None = None
            if index >= 0:
                skip = features[index]
            x = block(x, skip, 2 * x.shape[2], 2 * x.shape[3])
        return x
