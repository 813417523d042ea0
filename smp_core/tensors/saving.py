"""Writing a model: a folder, or a Hub repository, that both smp-core and SMP read.

``config.json`` holds SMP's keys plus ``_smp_core``: who provided architecture and encoder, and with which versions.
``model.safetensors`` holds the parameters and buffers. ``README.md`` is the model card.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import save_file
from torch import Tensor, nn

from smp_core._warnings import warn
from smp_core.blueprints.value import Blueprint
from smp_core.errors import CheckpointError, OptionError
from smp_core.sources.saved import CONFIG_FILE, INDEX_FILE, WEIGHTS_FILE
from smp_core.tensors.card import model_card
from smp_core.tensors.rebuilding import what_rebuilds
from smp_core.tensors.smp_format import with_unused
from smp_core.tensors.spelling import to_published

CARD_FILE = "README.md"
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
        CheckpointError: nothing could rebuild the model, so that nothing could load it back; says what was changed.
        OptionError: another format.
    """
    if format not in ("smp_core", "smp"):
        raise OptionError(f"unknown format {format!r}; expected 'smp_core' or 'smp'")
    if format == "smp" and max_shard_size is not None:
        raise OptionError("format='smp' is one file: segmentation_models_pytorch reads no shards; drop max_shard_size")
    if metrics is not None and not isinstance(metrics, Mapping):
        raise OptionError(f"metrics must be a dict of names and values, got {metrics!r}")
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
    try:
        text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"an option of this model cannot be written to {CONFIG_FILE}: {error}") from error
    tensors = to_published(model, model.state_dict())
    if format == "smp":
        tensors = with_unused(tensors, model, blueprint)
    shards, index = _shards(tensors, max_shard_size)
    card = model_card(blueprint, config, dataset=dataset, metrics=metrics)
    files: dict[str, Callable[[Path], Any]] = {CONFIG_FILE: _writes(text)}
    files |= {name: _saves(part) for name, part in shards.items()}
    if index is not None:
        files[INDEX_FILE] = _writes(index)
    files[CARD_FILE] = _writes(card)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder, files)
    # A file of an earlier save must not be taken for this one's.
    for path in list(folder.iterdir()):
        if path.name not in files and (path.name in (WEIGHTS_FILE, INDEX_FILE) or _SHARD.fullmatch(path.name)):
            path.unlink(missing_ok=True)
    return folder


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
) -> tuple[dict[str, dict[str, Tensor]], str | None]:
    """The tensors by file, and the index of the files where there are several."""
    if max_shard_size is None:
        return {WEIGHTS_FILE: tensors}, None
    from huggingface_hub import split_torch_state_dict_into_shards  # a third of a second that others should not pay

    if isinstance(max_shard_size, bool) or (isinstance(max_shard_size, int) and max_shard_size < 1):
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
    index = {"metadata": split.metadata, "weight_map": names}
    return parts, json.dumps(index, indent=2, sort_keys=True) + "\n"


def _writes(text: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(text, encoding="utf-8")


def _saves(tensors: Mapping[str, Tensor]) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        # One storage may be seen through several names (tied weights); each is written out, as each is read back.
        copies = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        save_file(copies, path, metadata={"format": "pt"})

    return write


def _replace(folder: Path, files: Mapping[str, Callable[[Path], Any]]) -> None:
    """Write every file beside its place, and move all into place once all are whole.

    A reader never sees half a file, and a model that is still mapped from an old file keeps it. Where something fails,
    the old files are put back.
    """
    written: dict[Path, Path] = {}
    kept: dict[Path, Path] = {}
    try:
        for name, write in files.items():
            temporary = _beside(folder / name)
            written[temporary] = folder / name
            write(temporary)
            temporary.chmod(0o666 & ~_umask())
        for target in written.values():
            if target.exists():
                kept[target] = _second_name(target)
        for temporary, target in written.items():
            temporary.replace(target)
    except BaseException:
        for target, old in kept.items():
            old.replace(target)
        raise
    finally:
        for path in (*written, *kept.values()):
            path.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    """An empty hidden file in the same folder."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    return Path(name)


def _second_name(target: Path) -> Path:
    """A hidden name for what a file holds, in the same folder; a copy where files cannot have two names."""
    path = _beside(target)
    path.unlink()
    try:
        os.link(target, path)
    except OSError:
        shutil.copyfile(target, path)
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


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


def upload(folder: Path, repo_id: str, *, private: bool, token: str | None) -> str:
    """Upload what a folder holds; arguments, result and errors as for `push_to_hub`."""
    from huggingface_hub import HfApi  # a third of a second that only the Hub's users should pay

    api = HfApi(token=token)
    try:
        url = api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload model")
    except Exception as error:  # the client's own, and those of its HTTP library, which changes between versions
        raise CheckpointError(
            f"could not upload to the Hub repository {repo_id!r}: {type(error).__name__}: {error}"
        ) from error
    return str(url)
