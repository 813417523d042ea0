"""Where a saved model is, and what its config says: a folder, a Hub repository, or a bare weight file.

``config.json`` is read; of the tensors only the files are found.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smp_core.errors import CheckpointError
from smp_core.sources.hub import NotFetchedError, fetch

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A saved model.

    Attributes:
        title: how errors call it.
        config: what ``config.json`` holds; None where it was not asked for.
        files: those that hold its tensors.
    """

    title: str
    config: Any
    files: tuple[Path, ...]

    @property
    def config_path(self) -> str:
        """How errors call its config."""
        return str(self.files[0].parent / CONFIG_FILE)

    @property
    def weights_name(self) -> str:
        """How errors call its tensors."""
        return WEIGHTS_FILE if len(self.files) > 1 else self.files[0].name


def open_saved(
    source: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    config_needed: bool = True,
) -> Saved:
    """Find a saved model, fetch it where it is not local, and read its config.

    Args:
        source: a folder, a Hub repository ``"owner/name"``, or, where no config is needed, a weight file.
        revision: commit, tag or branch of the repository.
        token: access token for a private repository.
        cache_dir: where the Hub's files are cached.
        local_files_only: whether what is not cached is an error.
        config_needed: whether the caller does not know itself which model it is.

    Raises:
        CheckpointError: it is none of these, a file is missing, or the config is damaged.
    """
    if source and isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_dir():
            return _in_folder(path, config_needed)
        if path.is_file() and not config_needed:
            return Saved(title=str(path), config=None, files=(path,))
        if path.is_file():
            raise CheckpointError(
                f"{str(source)!r} is a file, which does not say which model it holds; pass blueprint=, as in "
                "from_pretrained(file, blueprint=smp_core.blueprint('unet', 'resnet34', encoder_weights=None))"
            )
        if path.suffix in (".ckpt", ".pth", ".pt", ".bin", ".safetensors"):
            raise CheckpointError(f"no such file: {str(source)!r}")
    if not isinstance(source, str) or source.count("/") != 1 or Path(source).exists():
        raise CheckpointError(f"{str(source)!r} is neither a folder nor a Hub repository of the form 'owner/name'")

    def get(name: str) -> Path:
        return fetch(source, name, revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only)

    try:
        config = get(CONFIG_FILE) if config_needed else None
        try:
            files: tuple[Path, ...] = (get(WEIGHTS_FILE),)
        except NotFetchedError as error:
            if not error.absent:
                raise
            files = tuple(get(name) for name in _shards(get(INDEX_FILE)))
    except NotFetchedError as error:
        raise CheckpointError(
            f"{source!r} is not a local folder, and could not be fetched from the Hub "
            f"(revision {revision or 'main'}): {error}"
        ) from error
    folder = files[0].parent
    return Saved(title=str(folder), config=_read_json(config) if config is not None else None, files=files)


def _in_folder(folder: Path, config_needed: bool) -> Saved:
    config = _read_json(folder / CONFIG_FILE) if config_needed else None
    files: tuple[Path, ...] = (folder / WEIGHTS_FILE,)
    if not files[0].exists() and (folder / INDEX_FILE).exists():
        files = tuple(folder / name for name in _shards(folder / INDEX_FILE))
    for path in files:
        if not path.is_file():
            raise CheckpointError(f"no {path.name} in {str(folder)!r}: not a saved model")
    return Saved(title=str(folder), config=config, files=files)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"no {path.name} in {str(path.parent)!r}: not a saved model") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{str(path)!r} is not valid JSON: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from error


def _shards(index: Path) -> list[str]:
    """The names of the files that an index names; each must be a plain name beside it."""
    content = _read_json(index)
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise CheckpointError(f"{str(index)!r} is damaged: 'weight_map' must map parameters to file names")
    files = sorted(set(names.values()))
    wrong = [name for name in files if Path(name).name != name or not name.endswith(".safetensors")]
    if wrong:
        raise CheckpointError(f"{str(index)!r} names files that are no .safetensors files beside it: {wrong[0]!r}")
    return files
