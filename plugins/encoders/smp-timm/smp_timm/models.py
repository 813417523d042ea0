"""Building timm's models: what a user asks for beyond a name, and what timm says to that."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

import timm
from timm.models import FeatureListNet
from torch import nn

from smp_core.errors import OptionError, PluginError
from smp_core.layers import recomputing

# Which options a user may choose is known before; whether timm takes the values it says itself, by any exception.
_REFUSALS = (Exception,)


def build(model: str, *, options: Mapping[str, Any], **arguments: Any) -> Any:
    """A timm model with random parameters.

    Args:
        model: as timm lists it, without a tag.
        options: arguments of the model that a user chose.
        **arguments: further ones of `timm.create_model`, which hold where a user chose nothing else.

    Raises:
        OptionError: the model does not take the options.
        PluginError: the installed timm does not have the model, or does not build it.
    """
    if not timm.is_model(model):
        raise PluginError(f"timm {timm.__version__} has no model {model!r}; a newer one may: pip install -U timm")
    try:
        return timm.create_model(model, pretrained=False, **{**arguments, **options})
    except _REFUSALS as error:
        if not options:
            raise PluginError(
                f"timm {timm.__version__} does not build {model!r} with {dict(arguments)}: "
                f"{type(error).__name__}: {error}"
            ) from error
        raise refused(model, options, error) from error


def refused(model: str, options: Mapping[str, Any], error: Exception) -> OptionError:
    """What to raise where timm's model raised an error over a user's options; of one without a message, where."""
    frames = traceback.extract_tb(error.__traceback__)
    said = str(error) or (frames[-1].line if frames else "") or "no reason given"
    return OptionError(
        f"encoder_options={dict(options)}: timm's {model!r} does not take these: {type(error).__name__}: {said}"
    )


# What only the classifier needs, by the class that keeps it where timm reads features off a model.
_OF_CLASSES = {
    "PoolingVisionTransformer": ("norm",),
    "EfficientViM": ("weights",),
    "EfficientViMDistilled": ("weights", "weights_dist"),
}


def drop_unused(model: Any) -> None:
    """Drop what makes no feature and some of timm's classes build all the same: later stages, what a classifier needs.

    Args:
        model: built for features only; changed.
    """
    ends = getattr(model, "_stage_out_idx", None)  # of EfficientNet, MobileNetV3 and their like
    if ends:
        del model.blocks[max(ends) :]
    branches = getattr(model, "incre_modules", None)  # of HRNet
    if branches is not None:
        del branches[max(model._out_idx) :]
    for inner in (getattr(model, "body", None), getattr(model, "model", None)):
        for name in _OF_CLASSES.get(type(inner).__name__, ()):
            setattr(inner, name, nn.Identity() if isinstance(getattr(inner, name), nn.Module) else None)


def check_same(model: str, options: Mapping[str, Any], declared: object, found: object) -> None:
    """Whether a model that a user changed still has the features that are declared.

    Raises:
        OptionError: it does not.
    """
    if options and declared != found:
        raise OptionError(
            f"encoder_options={dict(options)}: with these timm's {model!r} has (channels, reductions) {found} in place "
            f"of {declared}; take a model that has them by itself"
        )


def is_list_of_layers(model: Any) -> bool:
    """Whether a model runs single layers one after the other, as VGG does, and has no blocks."""
    return isinstance(model, FeatureListNet) and not any(
        block for layer in model.children() for block in recomputing.blocks_of(layer)
    )


def is_channels_last(model: Any) -> bool:
    """Whether a model's features are (N, H, W, C)."""
    found = getattr(model, "output_fmt", None)
    return getattr(found, "value", found) == "NHWC"


def blocks_of(model: Any) -> int:
    """How many blocks, counted from the last, are alike: what comes before has other channels."""
    alike = [(item["num_chs"], item["reduction"]) for item in model.feature_info]
    return next((count for count, item in enumerate(reversed(alike)) if item != alike[-1]), len(alike))
