"""One level of a U-shaped decoder."""

from __future__ import annotations

from torch import Tensor, nn

from smp_core.layers.attention import build_attention
from smp_core.layers.conv import ConvNormAct
from smp_core.layers.norm import Norm
from smp_core.layers.upsample import UpsampleConcatConv


class UnetBlock(nn.Module):
    """Upsample to the size of the skip, concatenate, and convolve twice.

    Args:
        in_channels: channels of the map from below.
        skip_channels: channels of the skip; 0 where the level has none.
        out_channels: channels of the result.
        norm: see `smp_core.layers.build_norm`.
        attention_type: None or ``"scse"``: on the concatenation, where there is a skip, and on the result.
        interpolation: mode of the upsampling.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        *,
        norm: Norm,
        attention_type: str | None,
        interpolation: str,
    ) -> None:
        super().__init__()
        self.conv1 = UpsampleConcatConv(
            in_channels, skip_channels, out_channels, norm=norm, interpolation=interpolation
        )
        self.attention1 = build_attention(attention_type, in_channels + skip_channels)
        self.conv2 = ConvNormAct(out_channels, out_channels, kernel_size=3, padding=1, norm=norm)
        self.attention2 = build_attention(attention_type, out_channels)
        self.attends_to_input = attention_type is not None and skip_channels > 0

    def forward(
        self, x: Tensor, skip: Tensor | None, height: int, width: int, dense: list[Tensor] | None = None
    ) -> Tensor:
        """(N, in_channels, h, w) and (N, skip_channels, height, width) -> (N, out_channels, height, width).

        ``dense`` are further skips, which precede ``skip`` in the concatenation; skip_channels counts theirs.
        """
        if self.attends_to_input and skip is not None:
            # The attention looks at the concatenation as a whole, so here it has to exist.
            x = self.conv1.convolve(self.attention1(self.conv1.upsample_concat(x, skip, height, width, dense)))
        else:
            x = self.conv1(x, skip, height, width, dense)
        out: Tensor = self.attention2(self.conv2(x))
        return out
