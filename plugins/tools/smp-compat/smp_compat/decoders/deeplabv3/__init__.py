"""DeepLabV3 and DeepLabV3Plus, with the decoder."""

from smp_compat.decoders.deeplabv3.model import DeepLabV3, DeepLabV3Plus

__all__ = ["DeepLabV3", "DeepLabV3Plus"]
