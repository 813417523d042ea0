"""Pretrained weights of encoders: fetched, verified, converted, and put into a module."""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smp_core import hub
from smp_core._discovery import FAILURES
from smp_core._targets import load_target
from smp_core.encoder import EncoderBase, patch_first_convolution
from smp_core.errors import OptionError, PluginError, WeightsError
from smp_core.plugin import EncoderSpec, WeightsSpec
from smp_core.registry import Registered
from smp_core.sources import PREFERRED_FILES, Chosen, HubRepository, describe_files, obvious_file

_WAYS_OUT = (
    "Two ways out: pass a local file of these weights, encoder_weights='path/to/model.safetensors', "
    "or start from random ones, encoder_weights=None."
)


def load_weights(module: nn.Module, encoder: Registered[EncoderSpec], chosen: Chosen, in_channels: int) -> None:
    """Load pretrained weights into a freshly built encoder.

    Args:
        module: the encoder, built for ``in_channels``.
        encoder: its spec, which says where the weights are.
        chosen: what `smp_core.sources.choose_weights` returned.
        in_channels: where it is not 3, the first convolution's weight is summed or repeated to fit.

    Raises:
        WeightsError: they cannot be fetched, differ from their checksum, are damaged, or do not fit the module.
        OptionError: a repository that a user named holds no obvious weight file.
        PluginError: the plugin's conversion of the weights fails.
    """
    spec = encoder.spec
    source = spec.weights[chosen] if isinstance(chosen, str) else None
    title = f"{'file' if isinstance(chosen, Path) else 'weights'} {str(chosen)!r}"
    state_dict, path = _obtain(chosen, source, f"{title} of encoder {spec.name!r}")
    if source is not None and source.convert is not None:
        state_dict = _convert(state_dict, source.convert, f"weights {chosen!r} of {encoder.qualified_name}")
    state_dict = _part_of_encoder(state_dict, module)
    if isinstance(module, EncoderBase):
        state_dict = module.to_own_keys(state_dict)
    state_dict = _fit_channels(state_dict, module, spec, in_channels)
    try:
        module.load_state_dict(state_dict)
    except RuntimeError as error:
        raise WeightsError(f"{title} ({path}) do not fit encoder {spec.name!r}: {error}") from error


def _part_of_encoder(state_dict: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Of a whole model's state dict the encoder's part; an encoder's own is returned as it is.

    An encoder may have a part of its own that is called encoder: what knows more of its keys is its state dict.
    """
    prefix = "encoder."
    part = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
    own = module.state_dict()
    if isinstance(module, EncoderBase):
        own |= module.to_published_keys(own)
    return part if part and len(own.keys() & part) >= len(own.keys() & state_dict) else state_dict


def _fit_channels(
    state_dict: dict[str, Tensor], module: nn.Module, spec: EncoderSpec, in_channels: int
) -> dict[str, Tensor]:
    if in_channels == 3:
        return state_dict
    name = getattr(module, "first_convolution", "")
    if f"{name}.weight" not in state_dict:
        raise WeightsError(
            f"encoder {spec.name!r} does not say which convolution sees the input (first_convolution={name!r}), so "
            f"3-channel weights cannot be fitted to in_channels={in_channels}; pass encoder_weights=None"
        )
    if state_dict[f"{name}.weight"].shape[1] == in_channels:
        return state_dict
    return patch_first_convolution(state_dict, name, in_channels)


def _convert(state_dict: dict[str, Tensor], target: str, owner: str) -> dict[str, Tensor]:
    convert = load_target(target, owner)
    try:
        converted: dict[str, Tensor] = convert(state_dict)
    except FAILURES as error:
        raise PluginError(f"{owner}: converting them raised {type(error).__name__}: {error}") from error
    return converted


@dataclass(frozen=True)
class _Remote:
    """A file of a Hub repository, and how to call it in errors."""

    repo_id: str
    filename: str
    revision: str | None
    sha256: str | None
    title: str

    def fetch(self, *, again: bool = False) -> Path:
        return hub.fetch(self.repo_id, self.filename, self.revision, again=again)

    def error(self, why: object) -> WeightsError:
        return WeightsError(
            f"{self.title} could not be fetched from the Hub repository {self.repo_id!r} "
            f"(file {self.filename!r}, revision {self.revision or 'main'}): {why}\n{_WAYS_OUT}"
        )


def _obtain(chosen: Chosen, source: WeightsSpec | None, title: str) -> tuple[dict[str, Tensor], Path]:
    """The state dict that was chosen, as it is in its file, and that file; fetched and verified."""
    if isinstance(chosen, Path):
        return read_state_dict(chosen), chosen
    if isinstance(chosen, HubRepository):
        return _read_remote(*_find_in(chosen, title))
    assert source is not None
    if source.file is not None:
        path = _bundled(source.file, title)
        if not path.is_file():
            raise WeightsError(f"{title}: the file {str(path)!r} is missing; reinstall the plugin that ships it")
        wrong = _wrong_checksum(path, source.sha256)
        if wrong:
            raise WeightsError(f"{title}: {wrong}; delete the file and try again")
        return read_state_dict(path), path
    assert source.repo_id is not None
    remote = _Remote(source.repo_id, source.filename, source.revision, source.sha256, title)
    try:
        return _read_remote(remote, remote.fetch())
    except hub.NotFetchedError as error:
        raise remote.error(error) from error


def _find_in(repository: HubRepository, title: str) -> tuple[_Remote, Path]:
    """Fetch the obvious weight file of a repository that a user named."""
    repo_id, revision = repository.repo_id, repository.revision
    remote = _Remote(repo_id, PREFERRED_FILES[0], revision, None, title)
    try:
        for name in PREFERRED_FILES:
            remote = _Remote(repo_id, name, revision, None, title)
            try:
                return remote, remote.fetch()
            except hub.NotFetchedError as error:
                if not error.absent:
                    raise
        names = hub.list_files(repo_id, revision)
        only = obvious_file(names)
        if only is None:
            raise OptionError(f"{title}: this is a repository {describe_files(names)}; pass the path of a local file")
        remote = _Remote(repo_id, only, revision, None, title)
        return remote, remote.fetch()
    except hub.NotFetchedError as error:
        # The Hub cannot be asked what there is; what was fetched before is in the cache.
        folder = hub.cached_snapshot(repo_id, revision)
        only = obvious_file(item.name for item in folder.iterdir()) if folder is not None else None
        if folder is None or only is None:
            raise remote.error(error) from error
        return _Remote(repo_id, only, revision, None, title), folder / only


def _read_remote(remote: _Remote, path: Path) -> tuple[dict[str, Tensor], Path]:
    """Verify and read a fetched file; one that is damaged is fetched once more, and never used."""
    try:
        return _read_verified(path, remote), path
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
        return _read_verified(path, remote), path
    except WeightsError as error:
        raise WeightsError(
            f"{error}\nIt was fetched twice: this is what the Hub repository {remote.repo_id!r} holds (file "
            f"{remote.filename!r}, revision {remote.revision or 'main'}).\n{_WAYS_OUT}"
        ) from error


def _read_verified(path: Path, remote: _Remote) -> dict[str, Tensor]:
    wrong = _wrong_checksum(path, remote.sha256 or hub.published_sha256(path))
    if wrong:
        raise WeightsError(f"{remote.title}: {wrong}")
    return read_state_dict(path)


def _wrong_checksum(path: Path, expected: str | None) -> str:
    """What is wrong with the file's checksum; empty where nothing is, or none is known."""
    if expected is None:
        return ""
    found = _sha256(path)
    return "" if found == expected else f"{path} has sha256 {found}, expected {expected}"


def _bundled(file: str, title: str) -> Path:
    package, separator, inside = file.partition(":")
    if not separator or not package.replace(".", "").isidentifier() or Path(file).exists():
        return Path(file)
    try:
        return Path(str(importlib.resources.files(package))) / inside
    except ModuleNotFoundError as error:
        raise WeightsError(f"{title}: the package {package!r} of {file!r} is not installed") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file, or from a torch file without running code from it.

    Raises:
        WeightsError: the file is damaged, or does not hold a mapping of names to tensors.
    """
    path = Path(path)
    try:
        content: Any
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors, pickle and zip each have their own exceptions for a damaged file
        raise WeightsError(f"cannot read weights from {str(path)!r}: {type(error).__name__}: {error}") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{str(path)!r} does not hold a state dict: expected a mapping of names to tensors")
    return dict(content)
