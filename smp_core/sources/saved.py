"""Where a saved model is, and what its config says: a folder, a Hub repository, or a bare weight file.

``config.json`` is read; the tensors' files are opened and no more, so that what they hold stays what belongs to the
config, whoever replaces them meanwhile.
"""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smp_core.errors import CheckpointError
from smp_core.sources import hub
from smp_core.sources.tensor_files import IDENTITY, TensorFile, UnsettledError, open_tensors, pending

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
INDEX_FILE = "model.safetensors.index.json"

# How a card carries the identity of its save, unseen.
_IN_CARD = re.compile(rf"<!-- {re.escape(IDENTITY)}: (?P<identity>\w+) -->")

# An index of a hundred thousand tensors has some ten million bytes; a config has three levels, and what a user chose.
_LARGEST_JSON = 50_000_000
_DEEPEST_JSON = 20

# Seconds to wait for another program that may be just replacing the files; half a second in all.
_WAITS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.3)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A saved model.

    Attributes:
        title: how errors call it.
        config: what ``config.json`` holds; None where it was not asked for.
        files: those that hold its tensors; none where the config is none, as nobody will ask for them.
    """

    title: str
    config: Any
    files: tuple[TensorFile, ...]

    @property
    def config_path(self) -> str:
        """How errors call its config."""
        return str(Path(self.title) / CONFIG_FILE)

    @property
    def weights_name(self) -> str:
        """How errors call its tensors."""
        return WEIGHTS_FILE if len(self.files) > 1 else self.files[0].path.name


class _UnlikeError(Exception):
    """Config and tensors are of two different saves, or not all there; somebody may be about to mend that."""


def open_saved(
    source: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    config_needed: bool = True,
    mmap: bool = True,
) -> Saved:
    """Find a saved model, fetch it where it is not local, read its config, and open its tensors' files.

    Args:
        source: a folder, a Hub repository ``"owner/name"``, or, where no config is needed, a weight file.
        revision: commit, tag or branch of the repository.
        token: access token for a private repository.
        cache_dir: where the Hub's files are cached.
        local_files_only: whether what is not cached is an error.
        config_needed: whether the caller does not know itself which model it is.
        mmap: whether safetensors files are mapped into memory rather than read.

    Raises:
        CheckpointError: it is none of these, a file is missing, the config is damaged, or it is of another save than
            the tensors.
    """
    if source and isinstance(source, (str, Path)):
        path = Path(source)
        try:
            is_folder, is_file = path.is_dir(), path.is_file()
        except OSError as error:  # a name that is too long
            raise CheckpointError(f"{str(source)!r} cannot be read: {error.strerror}") from error
        if is_folder:
            return _in_folder(path, config_needed, mmap)
        if is_file and not config_needed:
            return Saved(title=str(path), config=None, files=(open_tensors(path, mmap),))
        if is_file:
            raise CheckpointError(
                f"{str(source)!r} is a file, which does not say which model it holds; pass blueprint=, as in "
                "from_pretrained(file, blueprint=smp_core.blueprint('unet', 'resnet34', encoder_weights=None))"
            )
        if path.suffix in (".ckpt", ".pth", ".pt", ".bin", ".safetensors"):
            raise CheckpointError(f"no such file: {str(source)!r}")
    if not isinstance(source, str) or source.count("/") != 1 or Path(source).exists():
        raise CheckpointError(f"{str(source)!r} is neither a folder nor a Hub repository of the form 'owner/name'")

    repository = _Repository(source, revision, token, cache_dir, local_files_only)
    try:
        config = repository.get(CONFIG_FILE) if config_needed else None
        try:
            paths: tuple[Path, ...] = (repository.get(WEIGHTS_FILE),)
        except hub.NotFetchedError as error:
            if not error.absent:
                raise
            paths = tuple(map(repository.get, shards(repository.get(INDEX_FILE))))
    except hub.NotFetchedError as error:
        raise CheckpointError(
            f"{source!r} is not a local folder, and could not be fetched from the Hub "
            f"(revision {revision or 'main'}): {error}"
        ) from error
    content = _read_json(config) if config is not None else None
    files = tuple(open_tensors(path, mmap) for path in paths) if _is_config(content) else ()
    identity = _identity(content)
    if identity is not None and any(file.identity not in (None, identity) for file in files):
        raise CheckpointError(_unlike(repr(source)))
    return Saved(title=str(paths[0].parent), config=content, files=files)


class _Repository:
    """A repository of the Hub at one commit, whatever becomes of its branch while files are fetched."""

    def __init__(
        self,
        repo_id: str,
        revision: str | None,
        token: str | None,
        cache_dir: str | Path | None,
        local_files_only: bool,
    ) -> None:
        self._repo_id = repo_id
        self._revision = revision
        self._how: dict[str, Any] = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
        self._wait = hub.Wait()

    def get(self, name: str) -> Path:
        """A file, verified; one that is damaged is fetched once more, and never used.

        Raises:
            NotFetchedError: see `smp_core.sources.hub.fetch`.
            CheckpointError: it is damaged, and cannot be had otherwise.
        """
        path = self._fetch(name)
        wrong = hub.wrong_checksum(path, hub.published_sha256(path))
        if not wrong:
            return path
        try:
            path = self._fetch(name, again=True)
        except hub.NotFetchedError as error:
            raise CheckpointError(
                f"{wrong}\nThe file is damaged, and could not be fetched again from the Hub repository "
                f"{self._repo_id!r}: {error}"
            ) from error
        wrong = hub.wrong_checksum(path, hub.published_sha256(path))
        if wrong:
            raise CheckpointError(f"{wrong}\nIt was fetched twice from the Hub repository {self._repo_id!r}")
        return path

    def _fetch(self, name: str, *, again: bool = False) -> Path:
        path = hub.fetch(self._repo_id, name, self._revision, again=again, wait=self._wait, **self._how)
        self._revision = hub.commit_of(path) or self._revision
        return path


def _in_folder(folder: Path, config_needed: bool, mmap: bool) -> Saved:
    wrong = ""
    for wait in _WAITS:
        time.sleep(wait)
        identity = None
        try:
            config = _read_json(folder / CONFIG_FILE) if config_needed else None
            identity = _identity(config)
            if identity is not None:
                files = _of_identity(folder, identity, mmap)
            else:
                files = tuple(open_tensors(path, mmap) for path in _places(folder)) if _is_config(config) else ()
            return Saved(title=str(folder), config=config, files=files)
        except _UnlikeError as error:
            wrong = str(error)
        except UnsettledError as error:
            if identity is None:
                raise CheckpointError(str(error)) from None
            wrong = str(error)
    raise CheckpointError(wrong)


def _unlike(title: str) -> str:
    return (
        f"{CONFIG_FILE} and {WEIGHTS_FILE} in {title} are of two different saves: saving was interrupted, or one of "
        "the files was exchanged; save the model again. If you know that they belong together, delete 'identity' from "
        f"'_smp_core' in {CONFIG_FILE}"
    )


def _places(folder: Path) -> Iterator[Path]:
    """The files with the tensors of a model whose config does not say which they are."""
    if not (folder / WEIGHTS_FILE).exists() and (folder / INDEX_FILE).exists():
        yield from (folder / name for name in shards(folder / INDEX_FILE))
    else:
        yield folder / WEIGHTS_FILE


def _identity(config: Any) -> str | None:
    """The identity of the save that a config, or the metadata of an index, is of."""
    details = config.get("_smp_core") if isinstance(config, dict) else None
    identity = details.get("identity") if isinstance(details, dict) else None
    return identity if isinstance(identity, str) else None


def _is_config(config: Any) -> bool:
    """Whether it may be a saved model's; None where the caller knows which model it is."""
    return config is None or (isinstance(config, dict) and "_model_class" in config)


def _of_identity(folder: Path, identity: str, mmap: bool) -> tuple[TensorFile, ...]:
    """The files of the save that a config is of, with those that it has not moved to their places yet.

    Where there are none, files without any identity are those meant: a user, or another program, has written them.

    Raises:
        _UnlikeError: they are not all there.
        CheckpointError: one is damaged.
    """
    whole = _find(folder / WEIGHTS_FILE, identity, mmap)
    if whole is not None:
        return (whole,)
    for index in (folder / INDEX_FILE, *pending(folder / INDEX_FILE)):
        if _identity_at(index, INDEX_FILE) == identity:
            found = {name: _find(folder / name, identity, mmap) for name in shards(index)}
            files = tuple(file for file in found.values() if file is not None)
            if len(files) == len(found):
                return files
            missing = next(name for name, file in found.items() if file is None)
            if not (folder / missing).exists():
                raise _UnlikeError(_absent(folder, missing))
    places = [*_places(folder)]
    for path in places:
        if not path.exists():
            raise _UnlikeError(_absent(folder, path.name))
    files = tuple(open_tensors(path, mmap) for path in places)
    if any(file.identity is not None for file in files):
        raise _UnlikeError(_unlike(repr(str(folder))))
    return files  # a user has written them


def _absent(folder: Path, name: str) -> str:
    return f"no {name} in {str(folder)!r}: not a saved model"


def _find(place: Path, identity: str, mmap: bool) -> TensorFile | None:
    """A file of one save: in its place, or written and about to be moved there."""
    wrong: CheckpointError | None = None
    for path in (place, *pending(place)):
        try:
            file = open_tensors(path, mmap)
        except CheckpointError as error:
            wrong = wrong or (error if path is place and path.exists() else None)
            continue
        if file.identity == identity:
            return file
    if wrong is not None:
        raise wrong
    return None


def in_card(identity: str) -> str:
    """The line of a card that says which save it is of."""
    return f"<!-- {IDENTITY}: {identity} -->\n"


def is_begun(folder: Path, path: Path, place: Path) -> bool:
    """Whether a file that a dead saver has left belongs to the config that it has moved to its place in a folder."""
    try:
        identity = _identity(_read_json(folder / CONFIG_FILE))
    except CheckpointError:
        return False
    return identity is not None and _identity_at(path, place.name) == identity != _identity_at(place, place.name)


def _identity_at(path: Path, name: str) -> str | None:
    """The identity that a file for some place carries, or None."""
    try:
        if name.endswith(".safetensors"):
            return open_tensors(path).identity
        if name == CARD_FILE:
            found = _IN_CARD.search(path.read_text(encoding="utf-8", errors="replace"))
            return found["identity"] if found else None
        content = _read_json(path) if name == INDEX_FILE else None
    except (CheckpointError, OSError):
        return None
    metadata = content.get("metadata") if isinstance(content, dict) else None
    identity = metadata.get(IDENTITY) if isinstance(metadata, dict) else None
    return identity if isinstance(identity, str) else None


def _read_json(path: Path) -> Any:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{str(path)!r} cannot be read: it is no regular file")
        if status.st_size > _LARGEST_JSON:
            raise CheckpointError(
                f"{str(path)!r} is not read: {status.st_size} bytes, where some thousand are expected"
            )
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnsettledError(f"no {path.name} in {str(path.parent)!r}: not a saved model") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{str(path)!r} is not valid JSON: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from error
    if _is_deeper(content, _DEEPEST_JSON):
        raise CheckpointError(f"{str(path)!r} is not read: it is nested deeper than {_DEEPEST_JSON} levels")
    return content


def _is_deeper(content: Any, levels: int) -> bool:
    """Whether lists and objects are nested deeper than that; level by level, as a recursion would not end well."""
    level = [content]
    for _ in range(levels + 1):
        level = [
            inside
            for item in level
            if isinstance(item, (dict, list))
            for inside in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True


def shards(index: Path) -> list[str]:
    """The names of the files that an index names; each must be a plain name beside it.

    Raises:
        CheckpointError: the index is damaged, or names other files.
    """
    content = _read_json(index)
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise CheckpointError(f"{str(index)!r} is damaged: 'weight_map' must map parameters to file names")
    files = sorted(set(names.values()))
    wrong = [name for name in files if Path(name).name != name or not name.endswith(".safetensors")]
    if wrong:
        raise CheckpointError(f"{str(index)!r} names files that are no .safetensors files beside it: {wrong[0]!r}")
    return files
