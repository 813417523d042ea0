"""Blocks that encoders and decoders share; one idea a file."""

from smp_core.layers.activation import build_activation
from smp_core.layers.attention import SCSE, build_attention
from smp_core.layers.channel_gate import ChannelGate
from smp_core.layers.conv import ConvNormAct
from smp_core.layers.enlarging import add_enlarged
from smp_core.layers.forms import form_for, use_form
from smp_core.layers.initialisation import initialise_decoder, initialise_encoder, initialise_head
from smp_core.layers.layout import channels_innermost, laid_out_for, rows_innermost
from smp_core.layers.levels import DEFAULT_DECODER_CHANNELS, decoder_widths, skip_indices
from smp_core.layers.map_dropout import MapDropout
from smp_core.layers.norm import LayerNorm2d, build_norm
from smp_core.layers.pooled_norm import PooledBatchNorm2d, PooledInstanceNorm2d
from smp_core.layers.pyramid_pooling import PooledConvNormAct
from smp_core.layers.recording import may_fuse
from smp_core.layers.resized_concat import ResizedConcat
from smp_core.layers.resized_concat3x3 import convolve_resized, resize_concat
from smp_core.layers.separable import SeparableConv2d
from smp_core.layers.stock import CONV1X1, CONV3X3, Fusing, is_stock
from smp_core.layers.unet_block import UnetBlock
from smp_core.layers.upsample import UpsampleConcatBlock

__all__ = [
    "CONV1X1",
    "CONV3X3",
    "DEFAULT_DECODER_CHANNELS",
    "SCSE",
    "ChannelGate",
    "ConvNormAct",
    "Fusing",
    "LayerNorm2d",
    "MapDropout",
    "PooledBatchNorm2d",
    "PooledConvNormAct",
    "PooledInstanceNorm2d",
    "ResizedConcat",
    "SeparableConv2d",
    "UnetBlock",
    "UpsampleConcatBlock",
    "add_enlarged",
    "build_activation",
    "build_attention",
    "build_norm",
    "channels_innermost",
    "convolve_resized",
    "decoder_widths",
    "form_for",
    "initialise_decoder",
    "initialise_encoder",
    "initialise_head",
    "is_stock",
    "laid_out_for",
    "may_fuse",
    "resize_concat",
    "rows_innermost",
    "skip_indices",
    "use_form",
]
