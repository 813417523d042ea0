"""Putting a saved model's tensors into a built one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from smp_core._warnings import warn
from smp_core.blueprints import versions
from smp_core.blueprints.value import Blueprint
from smp_core.encoder import EncoderBase
from smp_core.errors import CheckpointError, WeightsError
from smp_core.model import SegmentationModel
from smp_core.sources.saved import CONFIG_FILE, Saved
from smp_core.tensors.channels import fit_channels
from smp_core.tensors.files import read_state_dict
from smp_core.tensors.fitting import Difference, describe, encoder_of, listed, load, own_keys, quoted
from smp_core.tensors.migrations import migrate
from smp_core.tensors.renaming import change_keys_under
from smp_core.tensors.unwrapping import unwrap


@dataclass(frozen=True, kw_only=True)
class Filling:
    """How a model is filled.

    Attributes:
        saved: where the tensors are.
        blueprint: of the model that is wanted.
        original: of the model that was saved.
        build: builds the model of a blueprint anew: ``build(blueprint, empty=...)``, without memory or with its
            initialisation.
        strict: whether the file must hold exactly what its own config describes.
        dtype: of floating-point parameters; None for the model's own.
        channel_fitting: how the weights of first convolutions are fitted to another number of input channels; None
            leaves those at their initialisation.
    """

    saved: Saved
    blueprint: Blueprint
    original: Blueprint
    build: Callable[..., SegmentationModel]
    strict: bool = True
    dtype: torch.dtype | None = None
    channel_fitting: str | None = None


def fill(model: SegmentationModel, how: Filling) -> SegmentationModel:
    """The model with the tensors of a file.

    Args:
        model: built from ``how.blueprint``, without memory.
        how: see `Filling`.

    Returns:
        The same model, or one that was built anew, where its own initialisation has to make some of its tensors.

    Raises:
        CheckpointError: the file is damaged, or does not fit the model that it describes.
    """
    tensors = _read(model, how)
    difference = load(model, tensors, how.dtype)
    if not difference and not _has_meta_tensors(model):
        return model
    if difference:
        _judge(model, tensors, difference, how)
        if how.channel_fitting is not None:
            tensors = _fit_channels(model, tensors, how)
    # Some tensors are in no file: those that do not fit, and those that no state dict holds.
    model = how.build(how.blueprint, empty=False)
    left = load(model, tensors, how.dtype)
    if how.dtype is not None:
        model.to(how.dtype)
    _tell(model, tensors, left)
    return model


def _read(model: nn.Module, how: Filling) -> dict[str, Tensor]:
    """The tensors of the saved model, without wrappers' prefixes, in today's spelling."""
    expected = model.state_dict()
    own = own_keys(model, expected)
    tensors: dict[str, Tensor] = {}
    for path in how.saved.files:
        if path.suffix != ".safetensors":
            try:
                tensors |= read_state_dict(path, own)
            except WeightsError as error:
                raise CheckpointError(str(error)) from error
            continue
        try:
            tensors |= load_file(path)
        except FileNotFoundError:
            raise CheckpointError(f"no {path.name} in {str(path.parent)!r}: not a saved model") from None
        except Exception as error:  # safetensors' own exception is not importable by a stable name
            raise CheckpointError(f"{str(path)!r} is damaged: {type(error).__name__}: {error}") from error
    if expected.keys() != tensors.keys():
        tensors, outside, prefix = unwrap(tensors, own)
        if outside:
            warn(
                f"{how.saved.title!r} holds the model under {prefix!r}; what lies beside it was left out: "
                f"{listed(map(quoted, outside))}",
                UserWarning,
            )
    return migrate(tensors, how.original, _details(how.saved))


def _details(saved: Saved) -> Mapping[str, Any]:
    return (saved.config or {}).get("_smp_core") or {}


def _has_meta_tensors(model: nn.Module) -> bool:
    for module in model.modules():
        # Parameters and buffers are in dicts among the attributes; a plain attribute may hold tensors, too.
        for value in vars(module).values():
            held = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
            if any(isinstance(item, Tensor) and item.is_meta for item in held):
                return True
    return False


def _judge(model: nn.Module, tensors: Mapping[str, Tensor], difference: Difference, how: Filling) -> None:
    """Refuse a file that does not fit what it describes; what does not fit only what it was changed to is no fault."""
    if how.blueprint is not how.original:
        model = how.build(how.original, empty=True)
        difference = load(model, tensors, how.dtype)
    if not difference or not how.strict:
        return
    plugins = (how.original.architecture, how.original.encoder, how.original.neck)
    newer = versions.describe_difference(_details(how.saved), plugins)
    what = f"its {CONFIG_FILE}" if how.saved.config is not None else "the blueprint"
    raise CheckpointError(
        f"{how.saved.weights_name} in {how.saved.title!r} does not fit {what}: "
        f"{describe(difference, model.state_dict(), tensors)}{f' ({newer})' if newer else ''}"
    )


def _fit_channels(model: nn.Module, tensors: dict[str, Tensor], how: Filling) -> dict[str, Tensor]:
    encoder, prefix = encoder_of(model)
    assert how.channel_fitting is not None
    fitting, title = how.channel_fitting, repr(how.saved.title)

    def fit(part: Mapping[str, Tensor]) -> dict[str, Tensor]:
        own = encoder.to_own_keys(part) if isinstance(encoder, EncoderBase) else dict(part)
        name = type(encoder).__name__
        return fit_channels(own, encoder, how.blueprint.in_channels, fitting, title=title, encoder=name)

    return change_keys_under(prefix, tensors, fit)


def _tell(model: nn.Module, tensors: Mapping[str, Tensor], left: Difference) -> None:
    """One warning with all that was not loaded."""
    if not left:
        return
    expected = model.state_dict()
    fresh = [
        *(f"{key} (not in the file)" for key in left.missing),
        *(
            f"{key} ({tuple(tensors[key].shape)} in the file, {tuple(expected[key].shape)} wanted)"
            for key in left.other_shape
        ),
    ]
    parts = []
    if fresh:
        parts.append(f"left at their initialisation: {listed(fresh)}")
    if left.unexpected:
        parts.append(f"in the file, but not in the model: {listed(left.unexpected)}")
    warn("not everything was loaded; " + "; ".join(parts), UserWarning)
