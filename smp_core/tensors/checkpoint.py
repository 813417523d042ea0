"""Putting a saved model's tensors into a built one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smp_core._warnings import warn
from smp_core.blueprints import versions
from smp_core.blueprints.value import Blueprint
from smp_core.encoder import EncoderBase
from smp_core.errors import CheckpointError
from smp_core.model import SegmentationModel
from smp_core.sources.saved import CONFIG_FILE, Saved
from smp_core.tensors.channels import Channels, fit_channels
from smp_core.tensors.fitting import Difference, describe, has_meta_tensors, listed, load
from smp_core.tensors.reading import details_of, read_tensors
from smp_core.tensors.renaming import change_keys_under
from smp_core.tensors.spelling import encoder_of


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
            leaves those at their initialisation. Named channels are fitted by their names in any case.
    """

    saved: Saved
    blueprint: Blueprint
    original: Blueprint
    build: Callable[..., SegmentationModel]
    strict: bool = True
    dtype: torch.dtype | None = None
    channel_fitting: str | None = None

    @property
    def renames_bands(self) -> bool:
        """Whether channels are named, and others are wanted, or in another order."""
        names, known = self.blueprint.bands, self.original.bands
        return bool(names and known) and names != known

    @property
    def channels(self) -> Channels:
        """Those that the first convolutions are fitted to."""
        wanted, trained = self.blueprint, self.original
        names, known = wanted.bands or (), trained.bands or ()
        return Channels(wanted.in_channels, names, known, self.channel_fitting or "smp")


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
    renames_bands = how.renames_bands
    tensors = read_tensors(how.saved, model, how.original)
    raw = tensors
    if renames_bands:
        tensors = _fit_channels(model, tensors, how)
    difference = load(model, tensors, how.dtype)
    if not difference and not has_meta_tensors(model):
        return model
    if difference:
        _judge(model, raw, difference, how)
        if how.channel_fitting is not None and not renames_bands:
            tensors = _fit_channels(model, tensors, how)
    # Some tensors are in no file: those that do not fit, and those that no state dict holds.
    model = how.build(how.blueprint, empty=False)
    left = load(model, tensors, how.dtype)
    if how.dtype is not None:
        model.to(how.dtype)
    _tell(model, tensors, left)
    return model


def _judge(model: nn.Module, tensors: Mapping[str, Tensor], difference: Difference, how: Filling) -> None:
    """Refuse a file that does not fit what it describes; what does not fit only what it was changed to is no fault."""
    if how.blueprint is not how.original:
        model = how.build(how.original, empty=True)
        difference = load(model, tensors, how.dtype)
    if not difference or not how.strict:
        return
    plugins = (how.original.architecture, how.original.encoder, how.original.neck)
    newer = versions.describe_difference(details_of(how.saved), plugins)
    what = f"its {CONFIG_FILE}" if how.saved.config is not None else "the blueprint"
    raise CheckpointError(
        f"{how.saved.weights_name} in {how.saved.title!r} does not fit {what}: "
        f"{describe(difference, model.state_dict(), tensors)}{f' ({newer})' if newer else ''}"
    )


def _fit_channels(model: nn.Module, tensors: dict[str, Tensor], how: Filling) -> dict[str, Tensor]:
    encoder, prefix = encoder_of(model)
    title = repr(how.saved.title)

    def fit(part: Mapping[str, Tensor]) -> dict[str, Tensor]:
        own = encoder.to_own_keys(part) if isinstance(encoder, EncoderBase) else dict(part)
        name = type(encoder).__name__
        return fit_channels(own, encoder, how.channels, title=title, encoder=name)

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
