"""smp-core: semantic-segmentation models from separately installed encoders and architectures.

Names are exported lazily: ``import smp_core`` imports nothing else, listing models imports no torch,
and torch is imported when a model is built.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smp_core._version import __version__ as __version__
    from smp_core.blueprints.asking import blueprint, compatible
    from smp_core.blueprints.value import Blueprint
    from smp_core.building import build
    from smp_core.checkpoint import from_pretrained
    from smp_core.encoder import Encoder, EncoderBase
    from smp_core.factory import create, create_encoder
    from smp_core.inference.optimizing import optimize
    from smp_core.inputs import preprocessing
    from smp_core.model import SegmentationModel
    from smp_core.registry import (
        describe,
        list_architectures,
        list_encoders,
        list_necks,
        plugins,
        refresh,
    )

__all__ = [
    "Blueprint",
    "Encoder",
    "EncoderBase",
    "SegmentationModel",
    "blueprint",
    "build",
    "compatible",
    "create",
    "create_encoder",
    "describe",
    "from_pretrained",
    "list_architectures",
    "list_encoders",
    "list_necks",
    "optimize",
    "plugins",
    "preprocessing",
    "refresh",
]

_HOME = {
    "Blueprint": "blueprints.value",
    "Encoder": "encoder",
    "EncoderBase": "encoder",
    "SegmentationModel": "model",
    "blueprint": "blueprints.asking",
    "build": "building",
    "compatible": "blueprints.asking",
    "create": "factory",
    "create_encoder": "factory",
    "describe": "registry",
    "from_pretrained": "checkpoint",
    "list_architectures": "registry",
    "list_encoders": "registry",
    "list_necks": "registry",
    "optimize": "inference.optimizing",
    "plugins": "registry",
    "preprocessing": "inputs",
    "refresh": "registry",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module(f"{__name__}._version").__version__
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
