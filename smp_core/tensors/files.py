"""Reading a state dict from a file: safetensors, or a torch file without running code from it."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from safetensors.torch import load
from torch import Tensor

from smp_core._warnings import warn
from smp_core.errors import CheckpointError, WeightsError
from smp_core.sources.saved import INDEX_FILE, shards
from smp_core.sources.tensor_files import TensorFile, UnsettledError, open_tensors
from smp_core.tensors.torch_files import read_torch_file
from smp_core.tensors.unwrapping import find_state_dict

# How often a file that is replaced while it is opened is opened again.
_ATTEMPTS = 5


def read_state_dict(path: str | Path, own: Collection[str] = ()) -> dict[str, Tensor]:
    """The state dict in a file, wherever the program that wrote it put it.

    Args:
        path: a safetensors file, the index of several, or a torch file: of a state dict, of a checkpoint that holds
            one, of a whole module.
        own: keys of the module that it is for, in any spelling; of several state dicts the one that shares most.

    Raises:
        WeightsError: the file is damaged, or does not hold a mapping of names to tensors.
    """
    path = Path(path)
    if path.name == INDEX_FILE:
        try:
            names = shards(path)
        except CheckpointError as error:
            raise WeightsError(str(error)) from error
        return {key: tensor for name in names for key, tensor in read_state_dict(path.with_name(name), own).items()}
    if path.suffix.lower() == ".safetensors":
        try:
            return tensors_in(_settled(path))
        except CheckpointError as error:
            cause = error.__cause__
            why = str(error) if cause is None else f"{type(cause).__name__}: {cause}"
            raise WeightsError(f"cannot read weights from {str(path)!r}: {why}") from error
    content, unread = read_torch_file(path)
    state_dict, _ = find_state_dict(content, own)
    if not state_dict:
        raise WeightsError(f"{str(path)!r} does not hold a state dict: expected a mapping of names to tensors")
    if unread:
        shown = ", ".join(unread[:8]) + (f" and {len(unread) - 8} more" if len(unread) > 8 else "")
        warn(
            f"{str(path)!r} also holds objects that only running its code could read; the tensors were read, nothing "
            f"was run, and these were left out: {shown}",
            UserWarning,
        )
    return state_dict


def tensors_in(file: TensorFile) -> dict[str, Tensor]:
    """Every tensor of an open safetensors file.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        if file.content is not None:
            return dict(load(file.content))
        return {key: file.handle.get_tensor(key) for key in file.handle.keys()}  # noqa: SIM118  # no mapping
    except Exception as error:  # safetensors' own exception is not importable by a stable name
        raise CheckpointError(f"{str(file.path)!r} is damaged: {type(error).__name__}: {error}") from error


def _settled(path: Path) -> TensorFile:
    """The file opened, and again where it was replaced meanwhile."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(UnsettledError):
            return open_tensors(path)
    return open_tensors(path)
