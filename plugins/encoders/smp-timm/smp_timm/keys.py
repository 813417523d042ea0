"""State-dict keys: ours, those of timm's models, and of what else is published for them.

A model that timm cuts into stages has other module names than the whole one: ``stages.0`` becomes ``stages_0``. Nothing
else changes, so keys are compared with every dot as an underscore.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import timm
from torch import Tensor, nn

from smp_core.layers.filling import NoFilling
from smp_core.parts.emptiness import without_memory
from smp_timm import models

# Where the whole model is within ours: a wrapper of timm's that reads features off a model, and one that hooks into it.
_WRAPPERS = ("model.", "body.")


def first_convolutions(encoder: Any, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Our names of the layers that see the input, the first one alone.

    Args:
        encoder: over a timm model.
        names: in the whole timm model.
    """
    own = {plain(key): key for key, _ in encoder.named_modules()}
    found = [own[name] for name in map(plain, names) if name in own]
    if not found:
        # In a model that is cut into stages some layers move; their parameters keep their names.
        parameters = {plain(key): key for key, _ in encoder.named_parameters()}
        found = [
            parameters[f"{name}_weight"].rpartition(".")[0]
            for name in map(plain, names)
            if f"{name}_weight" in parameters
        ]
    return (found[0], tuple(found[1:])) if found else ("", ())


def to_own(encoder: Any, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with our keys, of ours, of a whole timm model, or of what timm itself knows to convert.

    Tensors of the whole model that the encoder does not have (a classifier, later stages) are left out; others that it
    does not know keep their keys, for `torch.nn.Module.load_state_dict` to name.
    """
    own = encoder.state_dict()
    if own.keys() == state_dict.keys():
        return dict(state_dict)
    result, unknown = _renamed(own, state_dict)
    if unknown:
        known = {plain(key) for key in encoder.whole_shapes}
        unknown = {key: value for key, value in unknown.items() if plain(key) not in known}
    misfits = [key for key, value in own.items() if key not in result or result[key].shape != value.shape]
    if misfits and state_dict:
        converted = _converted(encoder, state_dict)
        if converted.keys() == own.keys():
            return converted
    return {**result, **unknown}


def other_keys(encoder: Any) -> set[str]:
    """The keys of the whole timm model whose tensors the encoder has."""
    own = {plain(key) for key in encoder.state_dict()}
    return {key for key in encoder.whole_shapes if plain(key) in own}


def unused_shapes(encoder: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Of the shapes of a timm model those that the encoder which is made of it has not, by published key."""
    own = {plain(key) for key in encoder.state_dict()}
    return {f"model.{key}": shape for key, shape in shapes.items() if plain(key) not in own}


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's tensors, by key."""
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def built_by_timm(encoder: Any) -> Any:
    """The timm model of an encoder as timm builds it, without memory."""
    with without_memory():
        return models.build(
            encoder.name, options=encoder.options, in_chans=encoder.in_channels, **encoder.model_arguments
        )


def whole(encoder: Any) -> nn.Module:
    """The whole timm model that an encoder is made of, its classifier included, without memory."""
    with without_memory(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: nn.Module = timm.create_model(encoder.name, pretrained=False, **encoder.options)
    return model


def plain(key: str) -> str:
    """A key without the names that wrappers add in front, and without the difference between dots and underscores."""
    while key.startswith(_WRAPPERS):
        key = key.partition(".")[2]
    return key.replace(".", "_")


def _renamed(own: Iterable[str], state_dict: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What has a key of ours, under that key; and what has none."""
    ours = {plain(key): key for key in own}
    result: dict[str, Tensor] = {}
    unknown: dict[str, Tensor] = {}
    for key, value in state_dict.items():
        name = ours.get(plain(key))
        if name is None:
            unknown[key] = value
        else:
            result[name] = value
    return result, unknown


def _converted(encoder: Any, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What timm itself makes of a state dict: older spellings, other libraries', position embeddings of another size.

    Returns:
        With our keys, and only what timm took from the state dict: it leaves the rest at random, and says nothing.
    """
    if all(key.startswith("model.") for key in state_dict):  # of an encoder, ours or segmentation_models_pytorch's
        state_dict = {key.removeprefix("model."): value for key, value in state_dict.items()}
    first = next((value for value in state_dict.values() if value.dim() == 4), None)
    # What has 3 channels is fitted to others afterwards, as the user chose.
    channels = 3 if first is not None and first.shape[1] == 3 else encoder.in_channels
    arguments = {"in_chans": channels, **encoder.model_arguments, **encoder.options}
    logging.getLogger("timm").addFilter(_silent := lambda record: False)  # noqa: ARG005
    try:
        with warnings.catch_warnings(), NoFilling():
            warnings.simplefilter("ignore")
            before = _writes(timm.create_model(encoder.name, pretrained=False, **arguments))
            overlay = {"state_dict": dict(state_dict)}
            model = timm.create_model(encoder.name, pretrained=True, pretrained_cfg_overlay=overlay, **arguments)
    except Exception:  # whatever a conversion raises over a dict that is not for it
        return {}
    finally:
        logging.getLogger("timm").removeFilter(_silent)
    after = _writes(model)
    taken = {
        key: value
        for key, value in model.state_dict().items()
        if after[key] != before.get(key) or not value.is_floating_point()
    }
    return _renamed(encoder.state_dict(), taken)[0]


def _writes(model: nn.Module) -> dict[str, int]:
    """How many times each tensor of a model was written into."""
    return {key: value._version for key, value in model.state_dict(keep_vars=True).items()}
