"""Files of tensors, opened: what is read later is what was there then. No tensor is read here."""

from __future__ import annotations

import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smp_core.errors import CheckpointError

# The key of a save's identity in the metadata of safetensors files and of their index.
IDENTITY = "smp_core.identity"

_WORKSPACE = ".saving"


class UnsettledError(CheckpointError):
    """There is no such file, or it was replaced while it was opened; somebody may be just saving."""


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """A file of tensors.

    Attributes:
        path: where it is.
        handle: the open file, where it is a safetensors file: what it holds stays, though the file be replaced.
        content: instead of it all bytes, where the installed safetensors can only map a file, and must not.
    """

    path: Path
    handle: Any = None
    content: bytes | None = None

    @property
    def identity(self) -> str | None:
        """Of the save that wrote it; None where that has none."""
        if self.handle is not None:
            metadata = self.handle.metadata()
        elif self.content is not None:
            size = int.from_bytes(self.content[:8], "little")
            metadata = json.loads(self.content[8 : 8 + size]).get("__metadata__")
        else:
            return None
        value = (metadata or {}).get(IDENTITY)
        return value if isinstance(value, str) else None


def open_tensors(path: Path, mmap: bool = True) -> TensorFile:
    """Open a file of tensors.

    Args:
        path: where it is.
        mmap: whether a safetensors file is mapped into memory rather than read.

    Raises:
        CheckpointError: there is none, or it is a safetensors file and damaged.
    """
    if path.suffix.lower() != ".safetensors":
        return TensorFile(path=path)
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        raise UnsettledError(f"no {path.name} in {str(path.parent)!r}: not a saved model") from None
    except OSError as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from error
    if not is_file:
        raise CheckpointError(f"{str(path)!r} cannot be read: it is no regular file")
    try:
        # safetensors opens it twice, by its name: for what it says and for its data.
        before = _which(path)
        file = _open(path, mmap)
        if _which(path) == before:
            return file
    except FileNotFoundError:
        raise UnsettledError(f"no {path.name} in {str(path.parent)!r}: not a saved model") from None
    except Exception as error:  # safetensors' own exception is not importable by a stable name
        raise CheckpointError(f"{str(path)!r} is damaged: {type(error).__name__}: {error}") from error
    raise UnsettledError(f"{str(path)!r} was replaced while it was opened; try again when nobody saves")


def _which(path: Path) -> tuple[int, ...]:
    """What tells a file from one that has taken its place."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _open(path: Path, mmap: bool) -> TensorFile:
    from safetensors import safe_open

    if mmap:
        return TensorFile(path=path, handle=safe_open(path, framework="pt"))
    try:
        return TensorFile(path=path, handle=safe_open(path, framework="pt", backend="pread"))
    except TypeError:  # before safetensors 0.8
        safe_open(path, framework="pt")  # is it whole?
        return TensorFile(path=path, content=path.read_bytes())


def new_workspace(folder: Path) -> Path:
    """Make a hidden folder in a folder, for files that are written and not moved to their places yet."""
    path = folder / f".{secrets.token_hex(8)}{_WORKSPACE}"
    path.mkdir()
    return path


def workspaces(folder: Path) -> list[Path]:
    """Every such folder: of savers that are at work, or that died."""
    names = [name for name in os.listdir(folder) if name.startswith(".") and name.endswith(_WORKSPACE)]
    return [path for path in (folder / name for name in sorted(names)) if path.is_dir()]


def pending(place: Path) -> list[Path]:
    """Files that savers have written, or kept, for a place."""
    real = Path(os.path.realpath(place))
    if not real.parent.is_dir():
        return []
    return [path for folder in workspaces(real.parent) if (path := folder / real.name).is_file()]
