"""smp-core: semantic-segmentation models from separately installed encoders and architectures.

Names are exported lazily: ``import smp_core`` imports nothing else, listing models imports no torch,
and torch is imported when a model is built.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smp_core.checkpoint import from_pretrained
    from smp_core.encoder import Encoder, EncoderBase
    from smp_core.factory import create, create_encoder
    from smp_core.inputs import preprocessing
    from smp_core.model import SegmentationModel
    from smp_core.registry import (
        compatible,
        describe,
        list_architectures,
        list_encoders,
        plugins,
        refresh,
    )

__version__ = "1.0.0"

__all__ = [
    "Encoder",
    "EncoderBase",
    "SegmentationModel",
    "compatible",
    "create",
    "create_encoder",
    "describe",
    "from_pretrained",
    "list_architectures",
    "list_encoders",
    "plugins",
    "preprocessing",
    "refresh",
]

_HOME = {
    "Encoder": "encoder",
    "EncoderBase": "encoder",
    "SegmentationModel": "model",
    "compatible": "registry",
    "create": "factory",
    "create_encoder": "factory",
    "describe": "registry",
    "from_pretrained": "checkpoint",
    "list_architectures": "registry",
    "list_encoders": "registry",
    "plugins": "registry",
    "preprocessing": "inputs",
    "refresh": "registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
