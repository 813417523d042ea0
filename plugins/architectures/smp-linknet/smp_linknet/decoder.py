"""The decoder of Linknet (Chaurasia & Culurciello, arXiv:1707.03718)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from smp_core.layers import ConvNormAct, build_norm, initialise_decoder, skip_indices
from smp_core.layers.conv import activation_after
from smp_core.layers.norm import Norm

_LAST_CHANNELS = 32


class LinknetDecoder(nn.Module):
    """One block a level, each to the channels of the level's skip, which is added to its result.

    A level that the encoder lacks keeps the channels that it gets, and nothing is added.

    Args:
        encoder_channels: ``out_channels`` of the encoder.
        encoder_reductions: ``reductions`` of the encoder, powers of two.
        norm: see `smp_core.layers.build_norm`.

    Attributes:
        out_channels, reduction: of the result.
    """

    def __init__(
        self, encoder_channels: Sequence[int], encoder_reductions: Sequence[int], *, norm: Norm = "batchnorm"
    ) -> None:
        super().__init__()
        self.skip_indices = skip_indices(encoder_reductions)
        widths = [encoder_channels[-1]]
        for index in self.skip_indices[:-1]:
            widths.append(encoder_channels[index] if index >= 0 else widths[-1])
        widths.append(_LAST_CHANNELS)
        self.blocks = nn.ModuleList(
            LinknetBlock(in_channels, out_channels, norm=norm) for in_channels, out_channels in pairwise(widths)
        )
        self.out_channels = widths[-1]
        self.reduction = 1
        initialise_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, out_channels, H, W), the deepest one's size times its reduction."""
        x = features[-1]
        for number, block in enumerate(self.blocks):
            index = self.skip_indices[number]
            x = block(x)
            if index >= 0:
                x = x + features[index]
        return x


class LinknetBlock(nn.Module):
    """Squeeze to a quarter of the channels, double the resolution: (N, in, H, W) -> (N, out, 2 * H, 2 * W).

    Args:
        in_channels, out_channels: number of channels.
        norm: see `smp_core.layers.build_norm`.
    """

    def __init__(self, in_channels: int, out_channels: int, *, norm: Norm) -> None:
        super().__init__()
        squeezed = in_channels // 4
        self.block = nn.Sequential(
            ConvNormAct(in_channels, squeezed, kernel_size=1, norm=norm),
            nn.Sequential(
                # With a bias also before a norm, which checkpoints hold.
                nn.ConvTranspose2d(squeezed, squeezed, kernel_size=4, stride=2, padding=1),
                build_norm(norm, squeezed),
                activation_after(norm),
            ),
            ConvNormAct(squeezed, out_channels, kernel_size=1, norm=norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return out
