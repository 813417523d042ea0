"""The architectures, one a package: ``model`` and ``decoder``."""

from smp_compat.decoders import deeplabv3, dpt, fpn, linknet, manet, pan, pspnet, segformer, unet, unetplusplus, upernet

__all__ = [
    "deeplabv3",
    "dpt",
    "fpn",
    "linknet",
    "manet",
    "pan",
    "pspnet",
    "segformer",
    "unet",
    "unetplusplus",
    "upernet",
]
