"""segmentation_models_pytorch 0.6.0's public names over smp-core: ``import smp_compat as smp``.

Names are exported lazily, so that the plugin beside them stays light. ``__version__`` is that of the
segmentation_models_pytorch whose names these are.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from smp_compat.__version__ import __version__ as __version__

if TYPE_CHECKING:
    from smp_compat import base as base
    from smp_compat import datasets, decoders, encoders, losses, metrics
    from smp_compat import utils as utils
    from smp_compat._errors import NotProvidedError as NotProvidedError
    from smp_compat._factory import MODEL_ARCHITECTURES_MAPPING as MODEL_ARCHITECTURES_MAPPING
    from smp_compat._factory import create_model, from_pretrained
    from smp_compat._optimizers import carry_optimizer_state as carry_optimizer_state
    from smp_compat._strictness import strict_sizes as strict_sizes
    from smp_compat.decoders.deeplabv3 import DeepLabV3, DeepLabV3Plus
    from smp_compat.decoders.dpt import DPT
    from smp_compat.decoders.fpn import FPN
    from smp_compat.decoders.linknet import Linknet
    from smp_compat.decoders.manet import MAnet
    from smp_compat.decoders.pan import PAN
    from smp_compat.decoders.pspnet import PSPNet
    from smp_compat.decoders.segformer import Segformer
    from smp_compat.decoders.unet import Unet
    from smp_compat.decoders.unetplusplus import UnetPlusPlus
    from smp_compat.decoders.upernet import UPerNet

# What a star takes: the names that SMP has for it, so that nothing else of a program is overwritten.
__all__ = [
    "DPT",
    "FPN",
    "PAN",
    "DeepLabV3",
    "DeepLabV3Plus",
    "Linknet",
    "MAnet",
    "PSPNet",
    "Segformer",
    "UPerNet",
    "Unet",
    "UnetPlusPlus",
    "create_model",
    "datasets",
    "decoders",
    "encoders",
    "from_pretrained",
    "losses",
    "metrics",
]

_HOME = {
    "MODEL_ARCHITECTURES_MAPPING": "_factory",
    "NotProvidedError": "_errors",
    "carry_optimizer_state": "_optimizers",
    "create_model": "_factory",
    "from_pretrained": "_factory",
    "strict_sizes": "_strictness",
    "DeepLabV3": "decoders.deeplabv3",
    "DeepLabV3Plus": "decoders.deeplabv3",
    "DPT": "decoders.dpt",
    "FPN": "decoders.fpn",
    "Linknet": "decoders.linknet",
    "MAnet": "decoders.manet",
    "PAN": "decoders.pan",
    "PSPNet": "decoders.pspnet",
    "Segformer": "decoders.segformer",
    "Unet": "decoders.unet",
    "UnetPlusPlus": "decoders.unetplusplus",
    "UPerNet": "decoders.upernet",
}
_MODULES = ("base", "datasets", "decoders", "encoders", "losses", "metrics", "utils")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES})
