"""Blocks that encoders and decoders share; one idea a file."""

from smp_core.layers.activation import build_activation
from smp_core.layers.attention import SCSE, build_attention
from smp_core.layers.channel_gate import ChannelGate
from smp_core.layers.conv import ConvNormAct
from smp_core.layers.initialisation import initialise_decoder, initialise_encoder, initialise_head
from smp_core.layers.layout import channels_innermost, rows_innermost
from smp_core.layers.levels import DEFAULT_DECODER_CHANNELS, decoder_widths, skip_indices
from smp_core.layers.norm import LayerNorm2d, build_norm
from smp_core.layers.pooled_norm import PooledBatchNorm2d, PooledInstanceNorm2d
from smp_core.layers.pyramid_pooling import PooledConvNormAct
from smp_core.layers.resized_concat import ResizedConcatBlock, ResizedConcatConv1x1
from smp_core.layers.resized_concat3x3 import ResizedConcatConv3x3
from smp_core.layers.separable import SeparableConv2d
from smp_core.layers.unet_block import UnetBlock
from smp_core.layers.upsample import UpsampleConcatConv, UpsampleConcatConv2d

__all__ = [
    "DEFAULT_DECODER_CHANNELS",
    "SCSE",
    "ChannelGate",
    "ConvNormAct",
    "LayerNorm2d",
    "PooledBatchNorm2d",
    "PooledConvNormAct",
    "PooledInstanceNorm2d",
    "ResizedConcatBlock",
    "ResizedConcatConv1x1",
    "ResizedConcatConv3x3",
    "SeparableConv2d",
    "UnetBlock",
    "UpsampleConcatConv",
    "UpsampleConcatConv2d",
    "build_activation",
    "build_attention",
    "build_norm",
    "channels_innermost",
    "decoder_widths",
    "initialise_decoder",
    "initialise_encoder",
    "initialise_head",
    "rows_innermost",
    "skip_indices",
]
