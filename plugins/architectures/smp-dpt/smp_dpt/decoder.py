"""The decoder of DPT (Ranftl et al., arXiv:2103.13413)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from torch import Tensor, nn
from torch.nn import functional

from smp_core.errors import OptionError
from smp_core.layers import initialise_decoder
from smp_core.options import check_positive
from smp_dpt.readout import build_readout


class ReassembleBlock(nn.Module):
    """A transformer's feature to one level of a pyramid: (N, in_channels, h, w) -> (N, out_channels, h * f, w * f).

    State-dict keys: ``project_to_out_channel`` 1x1, ``upsample`` a transposed convolution for f > 1 and a strided 3x3
    one for f < 1, ``project_to_feature_dim`` 3x3 without bias.

    Args:
        in_channels, mid_channels, out_channels: number of channels.
        factor: f, a power of two.
    """

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int, factor: Fraction) -> None:
        super().__init__()
        self.project_to_out_channel = nn.Conv2d(in_channels, mid_channels, 1)
        self.upsample: nn.Module = nn.Identity()
        if factor > 1:
            self.upsample = nn.ConvTranspose2d(mid_channels, mid_channels, int(factor), stride=int(factor))
        elif factor < 1:
            self.upsample = nn.Conv2d(mid_channels, mid_channels, 3, stride=int(1 / factor), padding=1)
        self.project_to_feature_dim = nn.Conv2d(mid_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project_to_feature_dim(self.upsample(self.project_to_out_channel(x)))
        return out


class ResidualConvBlock(nn.Module):
    """Twice ReLU, 3x3 convolution, batch norm, and a shortcut around: (N, channels, H, W), same out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.batch_norm_1 = nn.BatchNorm2d(channels)
        self.conv_2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.batch_norm_2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.batch_norm_1(self.conv_1(functional.relu(x)))
        out = self.batch_norm_2(self.conv_2(functional.relu(out)))
        return x + out


class FusionBlock(nn.Module):
    """A level, plus what comes from below, refined and upsampled: (N, C, h, w) -> (N, C, height, width).

    The 1x1 convolution and the bilinear interpolation commute, so the map is projected where it is small.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual_conv_block1 = ResidualConvBlock(channels)
        self.residual_conv_block2 = ResidualConvBlock(channels)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, below: Tensor | None, height: int, width: int) -> Tensor:
        """``below`` has the shape of ``x``; None for the deepest level."""
        x = self.residual_conv_block1(x)
        if below is not None:
            x = x + below
        x = self.project(self.residual_conv_block2(x))
        return functional.interpolate(x, size=[height, width], mode="bilinear", align_corners=True)


class DPTDecoder(nn.Module):
    """Tokens to a pyramid of 1/4, 1/8, 1/16, ... of the input, fused from the deepest level up to 1/2.

    With patches of another size than a power of two these are fractions of what the input would be with patches of the
    nearest power of two: patches of 14 pixels count as 16, and the result is at 1/1.75.

    Args:
        encoder_channels: ``out_channels`` of the encoder.
        encoder_reductions: ``reductions`` of the encoder.
        num_prefix_tokens: of the encoder.
        readout: ``ignore``, ``add`` or ``cat``.
        intermediate_channels: channels of each level while it is reassembled, first feature first.
        fusion_channels: channels of the pyramid and of the result.

    Attributes:
        out_channels, reduction: of the result, with patches of a power of two.
        exact_reduction: size of the input / size of the result.
        size_multiple: what the sizes of the input must divide by.

    Raises:
        OptionError: an option has a value that it cannot take.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_reductions: Sequence[int],
        num_prefix_tokens: int,
        *,
        readout: str = "cat",
        intermediate_channels: Sequence[int] = (256, 512, 1024, 1024),
        fusion_channels: int = 256,
    ) -> None:
        super().__init__()
        check_positive("decoder_fusion_channels", fusion_channels)
        if len(intermediate_channels) != len(encoder_channels):
            raise OptionError(
                f"decoder_intermediate_channels has {len(intermediate_channels)} entries, but the encoder has "
                f"{len(encoder_channels)} features: give one number of channels for each"
            )
        for number, channels in enumerate(intermediate_channels):
            check_positive(f"decoder_intermediate_channels[{number}]", channels)
        nominal = [2 ** round(math.log2(reduction)) for reduction in encoder_reductions]
        factors = [Fraction(size, 2 ** (number + 2)) for number, size in enumerate(nominal)]
        self.out_channels = fusion_channels
        self.reduction = 2
        self.exact_reduction = Fraction(encoder_reductions[0]) / factors[0] / 2
        self.size_multiple = math.lcm(*encoder_reductions, encoder_reductions[0] * factors[0].denominator)
        self.projection_blocks = nn.ModuleList(
            build_readout(readout, channels, num_prefix_tokens) for channels in encoder_channels
        )
        self.reassemble_blocks = nn.ModuleList(
            ReassembleBlock(channels, intermediate_channels[number], fusion_channels, factors[number])
            for number, channels in enumerate(encoder_channels)
        )
        self.fusion_blocks = nn.ModuleList(FusionBlock(fusion_channels) for _ in encoder_channels)
        initialise_decoder(self)

    def forward(self, features: list[Tensor], prefix_tokens: list[Tensor]) -> Tensor:
        """Fuse the features.

        Args:
            features: one (N, C, H / reduction, W / reduction) for each block of the transformer that was chosen.
            prefix_tokens: one (N, prefix tokens, C) for each feature.

        Returns:
            (N, out_channels, H / 2, W / 2)
        """
        readouts: list[Tensor] = []
        for number, readout in enumerate(self.projection_blocks):
            # A map cut out of a sequence of tokens has its channels last; dynamic graphs want one layout throughout.
            readouts.append(readout(features[number].contiguous(), prefix_tokens[number]))
        levels: list[Tensor] = []
        for number, reassemble in enumerate(self.reassemble_blocks):
            levels.append(reassemble(readouts[number]))
        levels.reverse()  # deepest first, as the fusion goes
        x: Tensor | None = None
        for number, block in enumerate(self.fusion_blocks):
            level = levels[number]
            height, width = 2 * level.shape[2], 2 * level.shape[3]
            if number + 1 < len(levels):  # to the next level's size, which may be odd
                height, width = levels[number + 1].shape[2], levels[number + 1].shape[3]
            x = block(level, x, height, width)
        assert x is not None
        return x
