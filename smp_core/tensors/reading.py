"""The tensors of a saved model as they are in its files, without what wrapped it, in today's spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from smp_core._warnings import warn
from smp_core.blueprints.value import Blueprint
from smp_core.errors import CheckpointError, WeightsError
from smp_core.sources.saved import Saved
from smp_core.sources.tensor_files import TensorFile
from smp_core.tensors.files import read_state_dict, tensors_in
from smp_core.tensors.fitting import listed, quoted
from smp_core.tensors.migrations import migrate
from smp_core.tensors.spelling import all_keys
from smp_core.tensors.unwrapping import unwrap


def details_of(saved: Saved) -> Mapping[str, Any]:
    """What the config of a saved model records under ``_smp_core``; empty where there is none."""
    return (saved.config or {}).get("_smp_core") or {}


def read_tensors(saved: Saved, model: nn.Module, blueprint: Blueprint) -> dict[str, Tensor]:
    """The tensors of a saved model.

    Args:
        saved: where they are.
        model: that they are for; its keys tell the model's from a wrapper's.
        blueprint: of the model that was saved.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    own, details = all_keys(model), details_of(saved)
    tensors: dict[str, Tensor] = {}
    for file in saved.files:
        tensors |= _read(file, own)
    if not own >= tensors.keys():
        inside, outside, prefix = unwrap(tensors, own)
        # Older keys may look as if something wrapped the model: what fits more, once they are renamed, is meant.
        if _fitting(inside, blueprint, details, own) > _fitting(tensors, blueprint, details, own):
            tensors = inside
            if outside:
                warn(
                    f"{saved.title!r} holds the model under {prefix!r}; what lies beside it was left out: "
                    f"{listed(map(quoted, outside))}",
                    UserWarning,
                )
    return migrate(tensors, blueprint, details, own)


def _fitting(tensors: Mapping[str, Tensor], blueprint: Blueprint, details: Mapping[str, Any], own: set[str]) -> int:
    """How many keys are the model's, as far as that shows without running a plugin's conversion."""
    return len(own & migrate(tensors, blueprint, details, own, renames_only=True).keys())


def _read(file: TensorFile, own: set[str]) -> dict[str, Tensor]:
    if file.handle is None and file.content is None:
        try:
            return read_state_dict(file.path, own)
        except WeightsError as error:
            raise CheckpointError(str(error)) from error
    return tensors_in(file)
