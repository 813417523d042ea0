"""Models by the name of their architecture, and from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import smp_core
from smp_compat._errors import UnknownNameError
from smp_compat.base.model import SegmentationModel
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

_CLASSES: tuple[type[SegmentationModel], ...] = (
    Unet,
    UnetPlusPlus,
    MAnet,
    Linknet,
    FPN,
    PSPNet,
    DeepLabV3,
    DeepLabV3Plus,
    PAN,
    UPerNet,
    Segformer,
    DPT,
)

MODEL_ARCHITECTURES_MAPPING: dict[str, type[SegmentationModel]] = {item.__name__.lower(): item for item in _CLASSES}
"""The classes by their names in lower case."""


def create_model(
    arch: str,
    encoder_name: str = "resnet34",
    encoder_weights: str | None = "imagenet",
    in_channels: int = 3,
    classes: int = 1,
    **kwargs: Any,
) -> SegmentationModel:
    """Build a model of any architecture.

    Args:
        arch: name of the class, in upper or lower case.
        encoder_name, encoder_weights, in_channels, classes, **kwargs: arguments of the class.

    Raises:
        KeyError: no such architecture or encoder. Lists those that there are.
        OptionError: a ValueError; an option that there is not, or a value that it cannot take.

    >>> import torch
    >>> create_model("Unet", "resnet18", encoder_weights=None)(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 1, 64, 64])
    """
    model = MODEL_ARCHITECTURES_MAPPING.get(str(arch).lower())
    if model is None:
        raise UnknownNameError(
            f"unknown architecture {arch!r}; expected one of {', '.join(MODEL_ARCHITECTURES_MAPPING)}"
        )
    options = {"encoder_weights": encoder_weights, "in_channels": in_channels, "classes": classes, **kwargs}
    return model(encoder_name, **options)  # type: ignore[call-arg]


def from_pretrained(pretrained_model_name_or_path: str | Path, *args: Any, **kwargs: Any) -> smp_core.SegmentationModel:
    """Load a saved model of any architecture: SMP's, or ours.

    Args:
        pretrained_model_name_or_path: a folder, or a Hub repository.
        *args, **kwargs: as `SegmentationModel.from_pretrained`.

    Returns:
        The model, in evaluation mode: of the class that SMP has for it, or of smp-core where SMP has none.

    Raises:
        CheckpointError: see `smp_core.from_pretrained`.
    """
    loaded = SegmentationModel._load(pretrained_model_name_or_path, *args, **kwargs)
    found = next((item for item in _CLASSES if issubclass(item, type(loaded))), None)
    return loaded if found is None else found._of(loaded)
