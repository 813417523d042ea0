"""Reading a saved model, ours or SMP's: the one straight way, drawn in docs/design.md. Each line enters one room.

Names resolve through the registry alone; nothing named in a file is imported, and nothing is unpickled.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from torch import nn

from smp_core.announcement import announce
from smp_core.blueprints.value import Blueprint
from smp_core.building import build_to_fill
from smp_core.errors import CheckpointError, CreationError, IncompatibleError, OptionError, SmpError
from smp_core.model import SegmentationModel
from smp_core.options import CHANNEL_FITTINGS, check_one_of
from smp_core.sources.saved import CONFIG_FILE, open_saved
from smp_core.tensors.checkpoint import Filling, fill


def _device(device: str | torch.device | None, map_location: str | torch.device | None) -> torch.device | None:
    """Where a model is wanted, by either of two names."""
    first, second = _as_device("device", device), _as_device("map_location", map_location)
    if first is not None and second not in (None, first):
        raise OptionError(f"device={device!r} and map_location={map_location!r} name two devices; give one of them")
    return first or second


def _as_device(name: str, value: str | torch.device | None) -> torch.device | None:
    try:
        return None if value is None else torch.device(value)
    except (RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"{name}: expected a torch.device or its name, got {value!r}: {reason}") from error


def _check_arguments(blueprint: object, dtype: object, channel_fitting: object) -> None:
    if blueprint is not None and not isinstance(blueprint, Blueprint):
        raise OptionError(f"blueprint: expected a smp_core.Blueprint, got {type(blueprint).__name__}")
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise OptionError(f"dtype: expected a floating-point torch.dtype, got {dtype!r}")
    if channel_fitting is not None:
        check_one_of("channel_fitting", channel_fitting, CHANNEL_FITTINGS)


# What building with a wrong value raises: values that no spec declares kinds of, a stranger's options, are judged so.
_FAILURES = (CreationError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def _blame(file: str, error: Exception) -> None:
    """Say that a file asked for what could not be built, where one did; plugins that are missing are no fault of it."""
    if isinstance(error, SmpError) and not isinstance(error, (OptionError, IncompatibleError)):
        return
    what = str(error) if isinstance(error, SmpError) else f"{type(error).__name__}: {error}"
    raise CheckpointError(f"{file}: {what}") from error


def from_pretrained(
    source: str | Path,
    *,
    revision: str | None = None,
    encoder: nn.Module | None = None,
    token: str | None = None,
    blueprint: Blueprint | None = None,
    strict: bool = True,
    device: str | torch.device | None = None,
    map_location: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    mmap: bool = True,
    channel_fitting: str | None = None,
    **changes: Any,
) -> SegmentationModel:
    """Load a model that `SegmentationModel.save_pretrained`, or SMP's, wrote; or the tensors of one that you know.

    No encoder weights are downloaded, and no parameter is initialised only to be overwritten.

    Args:
        source: a folder, or a Hub repository ``"owner/name"``; with ``blueprint`` also a bare weight file: safetensors,
            a torch file, a Lightning checkpoint.
        revision: commit, tag or branch of the repository.
        encoder: for a model that was created over a module: that module; its parameters are overwritten.
        token: access token for a private repository.
        blueprint: which model it is, where no config says so (or says it wrongly): `smp_core.blueprint`'s, or another
            model's.
        strict: False tolerates missing and unexpected keys and tensors of other shapes, and lists them in a warning.
        device, map_location: where the model is put; two names for the same.
        dtype: of its floating-point parameters and buffers; by default float32, as it is built.
        cache_dir: where the Hub's files are cached.
        local_files_only: whether what is not cached is an error.
        mmap: whether safetensors files are mapped into memory, as is fastest. False reads them: for files that somebody
            may rewrite or cut in place while the model lives, which kills a process that has mapped them. What
            `save_pretrained` and `huggingface_hub` write replaces files, and does no harm.
        channel_fitting: where ``in_channels`` changes, how the weights of the first convolution are made to fit, as for
            `create`; None leaves it at its initialisation.
        **changes: arguments of `create` that replace what was saved: ``classes=5``, ``in_channels=4``, ``activation``,
            ``aux_params``, any option of the architecture; ``bands`` of a model that has names for its channels, to
            which its weights are fitted by name. What no longer fits is left at its initialisation and listed in one
            warning; everything else must fit.

    Returns:
        The model, in evaluation mode.

    Raises:
        CheckpointError: a file is missing or damaged, or does not fit the model that it describes.
        MissingPluginError: a plugin that the model needs is not installed; says what to install.
        RegistryError: a name in the file means nothing, or too much.
        OptionError: a change that the architecture does not take.
    """
    _check_arguments(blueprint, dtype, channel_fitting)
    target = _device(device, map_location)
    saved = open_saved(
        source,
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        config_needed=blueprint is None,
        mmap=mmap,
    )
    asked_by_file = f"{CONFIG_FILE} in {saved.title!r} asks for what cannot be built"
    try:
        original = blueprint or Blueprint.from_config(saved.config, encoder=encoder, title=repr(saved.config_path))
    except _FAILURES as error:
        _blame(asked_by_file, error)
        raise
    wanted = original.changed(encoder=encoder, **changes) if changes else original

    how = Filling(
        saved=saved,
        blueprint=wanted,
        original=original,
        build=functools.partial(build_to_fill, encoder=encoder),
        strict=strict,
        dtype=dtype,
        channel_fitting=channel_fitting,
    )
    try:
        model = fill(build_to_fill(wanted, encoder, empty=True), how)
    except _FAILURES as error:
        if not changes and blueprint is None:  # otherwise it was the user who asked
            _blame(asked_by_file, error)
        raise
    if target is not None:
        model.to(target)
    announce(model)
    return model
