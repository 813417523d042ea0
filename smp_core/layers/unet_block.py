"""One level of a U-shaped decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from smp_core.layers.attention import Attention, build_attention
from smp_core.layers.conv import ConvNormAct
from smp_core.layers.norm import Norm
from smp_core.layers.recording import may_fuse
from smp_core.layers.stock import is_stock
from smp_core.layers.upsample import UpsampleConcatBlock

if TYPE_CHECKING:
    from smp_core.inference.protocol import Walk


class UnetBlock(UpsampleConcatBlock):
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
        super().__init__(interpolation)
        self.in_channels = in_channels
        self.conv1 = self.join(in_channels + skip_channels, out_channels, norm)
        self.attention1 = build_attention(attention_type, in_channels + skip_channels)
        self.conv2 = ConvNormAct(out_channels, out_channels, kernel_size=3, padding=1, norm=norm)
        self.attention2 = build_attention(attention_type, out_channels)
        if skip_channels == 0:
            self.attention1.requires_grad_(False)  # there for its keys alone: it is not called

    def has_stock_parts(self) -> bool:
        """See `smp_core.layers.Fusing`: an attention looks at the concatenation, so then it has to exist."""
        attention = self.attention1
        if not is_stock(attention, Attention) or not is_stock(attention.attention, nn.Identity):
            return False
        return super().has_stock_parts()

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: with its kernel at hand."""
        return self.prepared(walk, self.in_channels)

    def forward(
        self, x: Tensor, skip: Tensor | None, height: int, width: int, dense: list[Tensor] | None = None
    ) -> Tensor:
        """(N, in_channels, h, w) and (N, skip_channels, height, width) -> (N, out_channels, height, width).

        ``dense`` are further skips, which precede ``skip`` in the concatenation; skip_channels counts theirs.
        """
        if not torch.jit.is_scripting():
            if may_fuse(x) and self.has_stock_parts():
                x = self.fused(x, skip, height, width, dense)
            else:
                x = self.plain(x, skip, height, width, dense)
        elif self.fuses_in_script:
            x = self.fused(x, skip, height, width, dense)
        else:
            x = self.plain(x, skip, height, width, dense)
        out: Tensor = self.attention2(self.conv2(x))
        return out

    def plain(self, x: Tensor, skip: Tensor | None, height: int, width: int, dense: list[Tensor] | None) -> Tensor:
        """What ``conv1`` makes of the concatenation, by calling the parts."""
        x = self.concat(x, skip, height, width, dense)
        if skip is not None:
            x = self.attention1(x)
        out: Tensor = self.conv1(x)
        return out
