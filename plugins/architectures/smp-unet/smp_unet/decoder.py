"""The decoder of Unet (Ronneberger et al., arXiv:1505.04597)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from smp_core.layers import ConvNormAct, UnetBlock, decoder_widths, initialise_decoder, skip_indices
from smp_core.layers.norm import Norm
from smp_core.layers.recording import is_proxy


class UnetDecoder(nn.Module):
    """One block a level, from the deepest feature up to the resolution of the input.

    Args:
        encoder_channels: ``out_channels`` of the encoder.
        encoder_reductions: ``reductions`` of the encoder, powers of two. A level that the encoder lacks has no skip.
        decoder_channels: channels after each block, deepest first; see `smp_core.layers.decoder_widths`.
        norm, attention_type, interpolation: see `smp_core.layers.UnetBlock`.
        center: whether a block of two convolutions stands before the first level.

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
        norm: Norm = "batchnorm",
        attention_type: str | None = None,
        interpolation: str = "nearest",
        center: bool = False,
    ) -> None:
        super().__init__()
        widths = decoder_widths(decoder_channels, encoder_reductions)
        deepest = encoder_channels[-1]
        self.center = _center(deepest, norm) if center else nn.Identity()
        self.target_reductions = [2**level for level in reversed(range(len(widths)))]
        self.skip_indices = skip_indices(encoder_reductions)
        in_channels = (deepest, *widths)
        self.blocks = nn.ModuleList(
            UnetBlock(
                in_channels[number],
                encoder_channels[index] if index >= 0 else 0,
                widths[number],
                norm=norm,
                attention_type=attention_type,
                interpolation=interpolation,
            )
            for number, index in enumerate(self.skip_indices)
        )
        self.knows_input_size = encoder_reductions[0] == 1
        self.out_channels = widths[-1]
        self.reduction = 1
        initialise_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, out_channels, H, W), the size of the first feature if that is the input's."""
        height, width = features[0].shape[2], features[0].shape[3]
        x: Tensor = self.center(features[-1])
        for number, block in enumerate(self.blocks):
            index, reduction = self.skip_indices[number], self.target_reductions[number]
            if index >= 0:
                skip = features[index]
                x = block(x, skip, skip.shape[2], skip.shape[3])
            elif self.knows_input_size:
                x = block(x, None, _divided(height, reduction), _divided(width, reduction))
            else:
                x = block(x, None, 2 * x.shape[2], 2 * x.shape[3])
        return x


def _divided(size: int, reduction: int) -> int:
    """The size at a level that no feature tells; of a single row or column one is left."""
    if reduction == 1:
        return size
    divided = size // reduction
    if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
        if torch.jit.is_tracing() or is_proxy(size):  # such a size cannot be compared at all
            return divided
    # Not max(): a compiled or exported graph would carry it through all sizes below as a symbol.
    return 1 if divided == 0 else divided


def _center(channels: int, norm: Norm) -> nn.Module:
    return nn.Sequential(
        ConvNormAct(channels, channels, kernel_size=3, padding=1, norm=norm),
        ConvNormAct(channels, channels, kernel_size=3, padding=1, norm=norm),
    )
