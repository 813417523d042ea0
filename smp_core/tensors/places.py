"""Getting a file of pretrained weights, from the Hub, a plugin's package or a user's disk, verified where possible."""

from __future__ import annotations

import importlib.resources
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from smp_core._specs.chosen import Chosen, HubRepository
from smp_core.errors import OptionError, WeightsError
from smp_core.plugin import WeightsSpec
from smp_core.sources import hub
from smp_core.sources.weights import PREFERRED_FILES, describe_files, obvious_file
from smp_core.tensors.files import read_state_dict

_WAYS_OUT = (
    "Two ways out: pass a local file of these weights, encoder_weights='path/to/model.safetensors', "
    "or start from random ones, encoder_weights=None."
)


@dataclass(frozen=True)
class _Remote:
    """A file of a Hub repository, and how to call it in errors."""

    repo_id: str
    filename: str
    revision: str | None
    sha256: str | None
    title: str
    wait: hub.Wait

    def fetch(self, *, again: bool = False) -> Path:
        return hub.fetch(self.repo_id, self.filename, self.revision, again=again, wait=self.wait)

    def error(self, why: object) -> WeightsError:
        return WeightsError(
            f"{self.title} could not be fetched from the Hub repository {self.repo_id!r} "
            f"(file {self.filename!r}, revision {self.revision or 'main'}): {why}\n{_WAYS_OUT}"
        )


def obtain(
    chosen: Chosen, source: WeightsSpec | None, title: str, own: Collection[str]
) -> tuple[dict[str, Tensor], Path]:
    """The state dict that was chosen, as it is in its file, and that file; fetched and verified.

    Args:
        chosen: what `smp_core.sources.weights.choose_weights` returned.
        source: the weight set, where one was chosen.
        title: how errors call the weights.
        own: keys of the module that they are for, by which the state dict is found among other things in a file.

    Raises:
        WeightsError: they cannot be fetched, differ from their checksum, or are damaged.
        OptionError: a repository that a user named holds no obvious weight file.
    """
    if isinstance(chosen.place, Path):
        return read_state_dict(chosen.place, own), chosen.place
    if chosen.place is not None:
        return _read_remote(*_find_in(chosen.place, title), own)
    if source is None:
        raise WeightsError(f"{title}: the installed plugin does not know these weights\n{_WAYS_OUT}")
    if source.file is not None:
        path = _bundled(source.file, title)
        if not path.is_file():
            raise WeightsError(f"{title}: the file {str(path)!r} is missing; reinstall the plugin that ships it")
        wrong = hub.wrong_checksum(path, source.sha256)
        if wrong:
            raise WeightsError(f"{title}: {wrong}; delete the file and try again")
        return read_state_dict(path, own), path
    assert source.repo_id is not None
    remote = _Remote(source.repo_id, source.filename, source.revision, source.sha256, title, hub.Wait())
    try:
        return _read_remote(remote, remote.fetch(), own)
    except hub.NotFetchedError as error:
        raise remote.error(error) from error


def _find_in(repository: HubRepository, title: str) -> tuple[_Remote, Path]:
    """Fetch the obvious weight file of a repository that a user named."""
    repo_id, revision = repository.repo_id, repository.revision
    wait = hub.Wait()
    remote = _Remote(repo_id, PREFERRED_FILES[0], revision, None, title, wait)
    try:
        for name in PREFERRED_FILES:
            remote = _Remote(repo_id, name, revision, None, title, wait)
            try:
                return remote, remote.fetch()
            except hub.NotFetchedError as error:
                if not error.absent:
                    raise
        names = hub.list_files(repo_id, revision)
        only = obvious_file(names)
        if only is None:
            raise OptionError(f"{title}: this is a repository {describe_files(names)}; pass the path of a local file")
        remote = _Remote(repo_id, only, revision, None, title, wait)
        return remote, remote.fetch()
    except hub.NotFetchedError as error:
        # The Hub cannot be asked what there is; what was fetched before is in the cache.
        folder = hub.cached_snapshot(repo_id, revision)
        # A link whose file is gone is none.
        only = obvious_file(item.name for item in folder.iterdir() if item.exists()) if folder is not None else None
        if folder is None or only is None:
            raise remote.error(error) from error
        return _Remote(repo_id, only, revision, None, title, wait), folder / only


def _read_remote(remote: _Remote, path: Path, own: Collection[str]) -> tuple[dict[str, Tensor], Path]:
    """Verify and read a fetched file; one that is damaged is fetched once more, and never used."""
    try:
        return _read_verified(path, remote, own), path
    except WeightsError as error:
        damage = error
    try:
        path = remote.fetch(again=True)
    except hub.NotFetchedError as error:
        raise WeightsError(
            f"{damage}\nThe file is damaged, and could not be fetched again from the Hub repository "
            f"{remote.repo_id!r} (revision {remote.revision or 'main'}): {error}\n{_WAYS_OUT}"
        ) from error
    try:
        return _read_verified(path, remote, own), path
    except WeightsError as error:
        raise WeightsError(
            f"{error}\nIt was fetched twice: this is what the Hub repository {remote.repo_id!r} holds (file "
            f"{remote.filename!r}, revision {remote.revision or 'main'}).\n{_WAYS_OUT}"
        ) from error


def _read_verified(path: Path, remote: _Remote, own: Collection[str]) -> dict[str, Tensor]:
    wrong = hub.wrong_checksum(path, remote.sha256 or hub.published_sha256(path))
    if wrong:
        raise WeightsError(f"{remote.title}: {wrong}")
    return read_state_dict(path, own)


def _bundled(file: str, title: str) -> Path:
    package, separator, inside = file.partition(":")
    if not separator or not package.replace(".", "").isidentifier() or Path(file).exists():
        return Path(file)
    try:
        return Path(str(importlib.resources.files(package))) / inside
    except ModuleNotFoundError as error:
        raise WeightsError(f"{title}: the package {package!r} of {file!r} is not installed") from error
