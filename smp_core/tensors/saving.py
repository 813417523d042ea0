"""Writing a model: a folder, or a Hub repository, that both smp-core and SMP read.

``config.json`` holds SMP's keys plus ``_smp_core``: who provided architecture and encoder, and with which versions.
``model.safetensors`` holds the parameters and buffers. ``README.md`` is the model card.
"""

from __future__ import annotations

import functools
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import save_file
from torch import Tensor, nn

from smp_core._warnings import warn
from smp_core.blueprints.value import Blueprint
from smp_core.errors import CheckpointError, OptionError
from smp_core.sources.saved import CARD_FILE, CONFIG_FILE, INDEX_FILE, WEIGHTS_FILE, in_card, is_begun
from smp_core.sources.tensor_files import IDENTITY
from smp_core.tensors.card import model_card
from smp_core.tensors.identity import identify, order_metadata
from smp_core.tensors.rebuilding import what_rebuilds
from smp_core.tensors.replacing import Write, replace_files
from smp_core.tensors.smp_format import with_unused
from smp_core.tensors.spelling import to_published

_SIZE = re.compile(r"(?i)\d+(\.\d+)?\s*[kmgt]?i?b")
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")

Format = Literal["smp_core", "smp"]


def save_pretrained(
    model: nn.Module,
    folder: str | Path,
    *,
    dataset: str | None = None,
    metrics: Mapping[str, object] | None = None,
    format: Format = "smp_core",
    max_shard_size: int | str | None = None,
) -> Path:
    """Write a model into a folder, which is made where it is missing; files of the same name are replaced.

    A save is whole or did not happen, also where the program is killed or the disk is full.

    Args:
        model: an `smp_core.SegmentationModel`; its dtype and device do not matter.
        folder: where to.
        dataset, metrics: for the card.
        format: ``"smp_core"``, or ``"smp"``: with the parameters that segmentation_models_pytorch has and the model has
            not (stages of the encoder beyond its depth), so that it loads there at any depth.
        max_shard_size: bytes, or ``"5GB"``: tensors beyond are written to several files, with an index.

    Returns:
        The folder.

    Raises:
        CheckpointError: nothing could rebuild the model, so that nothing could load it back; says what was changed. Or
            it could not be written (no space, no permission): then what was in the folder is as it was.
        OptionError: another format, folder, size or card than can be.
    """
    _check_arguments(folder, dataset, metrics, format, max_shard_size)
    blueprint = what_rebuilds(model)
    if format == "smp":
        _check_for_smp(blueprint)
    config = _jsonable(blueprint.to_config())
    if format == "smp":
        # Values of levels beyond the depth are ignored here, and refused there.
        for name in blueprint.architecture.spec.options_per_level:
            config[name] = config[name][: blueprint.depth]
        # There, any keyword that an architecture does not know is the encoder's.
        config |= config["_smp_core"].get("encoder_options", {})
    tensors = to_published(model, model.state_dict())
    if format == "smp":
        tensors = with_unused(tensors, model, blueprint)
    card = model_card(blueprint, config, dataset=dataset, metrics=metrics)
    return write_folder(Path(folder), config, tensors, card, max_shard_size)


def write_folder(
    folder: Path,
    config: dict[str, Any],
    tensors: Mapping[str, Tensor],
    card: str,
    max_shard_size: int | str | None = None,
) -> Path:
    """Write what a saved model consists of, whole or not at all.

    Args:
        folder: where to; it is made where it is missing.
        config: what can be written as JSON; ``_smp_core`` in it gets the identity of the save.
        tensors: on any device, by the names that they get in the file.
        card: Markdown.
        max_shard_size: as for `save_pretrained`.

    Returns:
        The folder.

    Raises:
        CheckpointError: it could not be written; then what was in the folder is as it was.
        OptionError: a card that is no text.
    """
    try:
        text = _as_json(config)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"an option of this model cannot be written to {CONFIG_FILE}: {error}") from error
    tensors = _apart(tensors)
    identity = identify(text, tensors)
    config = {**config, "_smp_core": {**config["_smp_core"], "identity": identity}}
    shards, index = _shards(tensors, max_shard_size)
    files: dict[str, Write] = {CONFIG_FILE: _writes(_as_json(config))}
    files |= {name: _saves(part, identity) for name, part in shards.items()}
    if index is not None:
        index["metadata"] = {**index["metadata"], IDENTITY: identity}
        files[INDEX_FILE] = _writes(_as_json(index))
    card += in_card(identity)
    try:
        card.encode()
    except UnicodeEncodeError as error:
        raise OptionError(f"dataset and metrics must be text that can be written as UTF-8: {error}") from error
    files[CARD_FILE] = _writes(card)
    # A file of an earlier save must not be taken for this one's.
    replace_files(folder, files, stale=_is_stale, is_begun=functools.partial(is_begun, folder))
    return folder


def _check_arguments(
    folder: object, dataset: object, metrics: object, format: Format, max_shard_size: int | str | None
) -> None:
    if format not in ("smp_core", "smp"):
        raise OptionError(f"unknown format {format!r}; expected 'smp_core' or 'smp'")
    if format == "smp" and max_shard_size is not None:
        raise OptionError("format='smp' is one file: segmentation_models_pytorch reads no shards; drop max_shard_size")
    if metrics is not None and not isinstance(metrics, Mapping):
        raise OptionError(f"metrics must be a dict of names and values, got {metrics!r}")
    if dataset is not None and not isinstance(dataset, str):
        raise OptionError(f"dataset must be text, got {dataset!r}")
    if not isinstance(folder, (str, os.PathLike)) or "\0" in os.fspath(folder):
        raise OptionError(f"folder must be a path, got {folder!r}")
    try:
        os.fspath(folder).encode()
    except UnicodeEncodeError:
        raise OptionError(f"folder must have a name that is UTF-8, as safetensors asks for; got {folder!r}") from None


def _is_stale(name: str) -> bool:
    return name in (WEIGHTS_FILE, INDEX_FILE) or _SHARD.fullmatch(name) is not None


def _as_json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _check_for_smp(blueprint: Blueprint) -> None:
    """Whether segmentation_models_pytorch has a model like this one."""
    title = "format='smp': segmentation_models_pytorch"
    if blueprint.neck is not None:
        raise OptionError(f"{title} has no necks, and this model has {blueprint.neck.title}")
    both = [name for name in blueprint.encoder_options if name in blueprint.options]
    if both:
        raise OptionError(f"{title} would take the encoder's {', '.join(both)} for the architecture's option")


def _shards(
    tensors: dict[str, Tensor], max_shard_size: int | str | None
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any] | None]:
    """The tensors by file, and the index of the files where there are several."""
    if max_shard_size is None:
        return {WEIGHTS_FILE: tensors}, None
    from huggingface_hub import split_torch_state_dict_into_shards  # a third of a second that others should not pay

    is_size = isinstance(max_shard_size, str) and _SIZE.fullmatch(max_shard_size.strip())
    is_bytes = isinstance(max_shard_size, int) and not isinstance(max_shard_size, bool) and max_shard_size >= 1
    if not is_size and not is_bytes:
        raise OptionError(f"max_shard_size={max_shard_size!r}: expected bytes, or a size as '5GB'")
    try:
        split = split_torch_state_dict_into_shards(tensors, max_shard_size=max_shard_size)
    except ValueError as error:
        raise OptionError(f"max_shard_size={max_shard_size!r}: expected bytes, or a size as '5GB': {error}") from error
    # One storage that is seen through several names is in one of its files; each name is written out.
    missing = tensors.keys() - split.tensor_to_filename.keys()
    first = next(iter(split.filename_to_tensors))
    names = {**split.tensor_to_filename, **dict.fromkeys(missing, first)}
    parts: dict[str, dict[str, Tensor]] = {name: {} for name in split.filename_to_tensors}
    for key, tensor in tensors.items():
        parts[names[key]][key] = tensor
    if not split.is_sharded:
        return parts, None
    return parts, {"metadata": split.metadata, "weight_map": names}


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as they are written: on the CPU, contiguous, and none in the memory of another.

    One storage may be seen through several names (tied weights); each is written out, as each is read back.
    """
    result: dict[str, Tensor] = {}
    seen = set()
    for name, tensor in tensors.items():
        try:
            plain = tensor.detach().cpu().contiguous()
            place = plain.untyped_storage().data_ptr()
        except RuntimeError as error:  # NotImplementedError, of meta tensors, is one
            kind = f"{tensor.layout}, {tensor.dtype}, on {tensor.device}"
            raise CheckpointError(f"parameter {name!r} ({kind}) cannot be written: {error}") from error
        result[name] = plain.clone() if place in seen else plain
        seen.add(place)
    return result


def _writes(text: str) -> Write:
    return lambda path: path.write_text(text, encoding="utf-8")


def _saves(tensors: Mapping[str, Tensor], identity: str) -> Write:
    def write(path: Path) -> None:
        try:
            save_file(dict(tensors), path, metadata={"format": "pt", IDENTITY: identity})
        except Exception as error:  # safetensors' own exception is not importable by a stable name
            raise OSError(f"{type(error).__name__}: {error}") from error
        order_metadata(path)

    return write


def _jsonable(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with callables, which JSON cannot hold, left out aloud."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            result[key] = _jsonable(value)
        elif callable(value):
            warn(
                f"{key}={value!r} cannot be written to {CONFIG_FILE}, only names can; "
                f"the loaded model will have {key}=None",
                UserWarning,
            )
            result[key] = None
        else:
            result[key] = list(value) if isinstance(value, tuple) else value
    return result


def push_to_hub(model: nn.Module, repo_id: str, *, private: bool = False, token: str | None = None, **how: Any) -> str:
    """Upload a model to the Hugging Face Hub, making the repository where it is missing.

    Args:
        model: an `smp_core.SegmentationModel`.
        repo_id: ``"owner/name"``.
        private: whether a new repository is private.
        token: access token; by default the one that ``hf auth login`` stored.
        **how: as for `save_pretrained`.

    Returns:
        The URL of the repository.

    Raises:
        CheckpointError: the model cannot be saved, or not be uploaded: no connection, no permission.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, folder, **how)
        return upload(Path(folder), repo_id, private=private, token=token)


def upload(folder: Path, repo_id: str, *, private: bool, token: str | None, **how: Any) -> str:
    """Upload what a folder holds; arguments, result and errors as for `push_to_hub`.

    Args:
        **how: further arguments of `huggingface_hub.HfApi.upload_folder`.
    """
    from huggingface_hub import HfApi  # a third of a second that only the Hub's users should pay

    api = HfApi(token=token)
    try:
        url = api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=folder, **{"commit_message": "Upload model", **how})
    except Exception as error:  # the client's own, and those of its HTTP library, which changes between versions
        raise CheckpointError(
            f"could not upload to the Hub repository {repo_id!r}: {type(error).__name__}: {error}"
        ) from error
    return str(url)
