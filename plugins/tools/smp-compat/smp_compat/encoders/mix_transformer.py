"""Mix Transformers. The class is ours, and takes our arguments."""

from smp_compat._not_provided import raises_for
from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._catalogue import of_class
from smp_mit.encoder import MixTransformerEncoder as MixVisionTransformerEncoder

__all__ = ["EncoderMixin", "MixVisionTransformerEncoder", "mix_transformer_encoders"]

mix_transformer_encoders = of_class("smp_mit.encoder:MixTransformerEncoder")


__getattr__ = raises_for(__name__)
