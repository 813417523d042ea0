"""Results on their way: pixels in a hidden folder beside the target, and a journal of what is finished.

A run that was cut goes on from the journal. The target gets its name when everything is written, and all at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smp_predict.errors import SinkError
from smp_predict.locking import FolderLock
from smp_predict.protocols import Array, Window

# How the names of files begin that runs leave in their folders.
_OWN = ("carry-", "journal.json", "output", "piece-", "pixels")


@dataclass(frozen=True)
class Checkpoint:
    """From where a run goes on.

    Attributes:
        swath: index of the swath.
        row: its first tile row that is not finished.
        batch_size: with which tiles were run.
        carry: file of the sums that this row begins with; None: it is the first of its swath.
    """

    swath: int = 0
    row: int = 0
    batch_size: int = 0
    carry: str | None = None


class RawPixels:
    """A file of nothing but pixels, row by row: a sink while it is written, a source afterwards.

    It is read and written, never mapped: mapped pages would count as the process's memory.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.sink_shape = shape
        self.shape = (shape[0], shape[1], shape[2] if len(shape) == 3 else 1)
        self.dtype = dtype
        self._pixel = self.shape[2] * dtype.itemsize
        size = shape[0] * shape[1] * self._pixel
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        self._file = os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0)
        if os.fstat(self._file.fileno()).st_size != size:
            self._file.truncate(size)

    def write(self, window: Window, block: Array) -> None:
        """Store a block; see `smp_predict.Sink`."""
        rows = np.ascontiguousarray(block, self.dtype).reshape(window.height, -1)
        if window.width == self.shape[1]:
            self._seek(window.row, 0)
            self._write_all(rows)
            return
        for offset, row in enumerate(rows):
            self._seek(window.row + offset, window.column)
            self._write_all(row)

    def read(self, window: Window) -> Array:
        """The pixels of a window; see `smp_predict.Source`."""
        pixels = np.empty((window.height, window.width, self.shape[2]), self.dtype)
        if window.width == self.shape[1]:
            self._seek(window.row, 0)
            self._read_all(pixels)
            return pixels
        for offset in range(window.height):
            self._seek(window.row + offset, window.column)
            self._read_all(pixels[offset])
        return pixels

    def sync(self) -> None:
        """Have the disk confirm what is written."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _seek(self, row: int, column: int) -> None:
        self._file.seek((row * self.shape[1] + column) * self._pixel)

    def _write_all(self, values: Array) -> None:
        left = values.reshape(-1).view(np.uint8).data
        while left:
            left = left[self._file.write(left) :]

    def _read_all(self, values: Array) -> None:
        left = values.reshape(-1).view(np.uint8).data
        while left:
            count = self._file.readinto(left)
            if not count:
                raise SinkError(f"{self._file.name!r} ended early: somebody changed it while it was written")
            left = left[count:]


class Scratch:
    """The hidden folder of one target.

    Args:
        target: where the result goes.
        settings: everything that the result depends on, JSON-able. A run with other settings starts over.
        resume: go on where a former run with the same settings was cut.
        shared: whether others work in the folder, too. It must be there, with these settings.

    Raises:
        SinkError: another run writes this target.
    """

    def __init__(self, target: Path, settings: Mapping[str, object], *, resume: bool, shared: bool = False) -> None:
        self.folder = target.parent / f".{target.name}.smp-predict"
        self._journal = self.folder / "journal.json"
        self._settings = json.loads(json.dumps(settings))
        self.checkpoint = Checkpoint()
        self._lock = FolderLock(self.folder, shared=shared)
        found = self._read() if resume else None
        if found is not None:
            self.checkpoint = found
            return
        if shared:
            self.close()
            raise SinkError(f"{str(self.folder)!r} is not of this run any more: another one has begun anew")
        there = list(self.folder.iterdir())
        strange = sorted(path.name for path in there if not path.name.startswith(_OWN))
        if strange:
            self.close()
            raise SinkError(
                f"{str(self.folder)!r} is where unfinished results are kept, and holds {strange[0]!r}, which is none; "
                "move or remove that folder"
            )
        for path in there:  # the folder itself is what is locked
            _forget(path)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other runs at the target; what is in the folder stays."""
        self._lock.release()

    @property
    def pixels(self) -> Path:
        """The file of `RawPixels`."""
        return self.folder / "pixels"

    @property
    def output(self) -> Path:
        """Where the format writes before the result is moved to its place."""
        return self.folder / "output"

    def clear_output(self) -> None:
        """Forget what a run that was cut while it wrote has left, so that it is not written through."""
        for path in self.folder.glob("output*"):
            _forget(path)

    def _read(self) -> Checkpoint | None:
        try:
            journal = json.loads(self._journal.read_text(encoding="utf-8"))
            if journal["settings"] != self._settings:
                return None
            found = Checkpoint(**journal["checkpoint"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return found if found.carry is None or (self.folder / found.carry).is_file() else None

    def save(self, checkpoint: Checkpoint, carry: Array | None) -> None:
        """Record a checkpoint. The pixels before it must be on the disk."""
        name = None
        if carry is not None:
            name = f"carry-{checkpoint.swath}-{checkpoint.row}.npy"
            _write_whole(self.folder / name, lambda path: _save_array(path, carry))
        checkpoint = Checkpoint(checkpoint.swath, checkpoint.row, checkpoint.batch_size, name)
        text = json.dumps({"settings": self._settings, "checkpoint": asdict(checkpoint)})
        _write_whole(self._journal, lambda path: _save_text(path, text))
        former = self.checkpoint.carry
        self.checkpoint = checkpoint
        if former and former != name:
            (self.folder / former).unlink(missing_ok=True)

    def carry(self) -> Array | None:
        """The sums that the checkpoint begins with."""
        if self.checkpoint.carry is None:
            return None
        carry: Array = np.load(self.folder / self.checkpoint.carry, allow_pickle=False)
        return carry

    def remove(self) -> None:
        """Forget everything: the result is in its place."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()


def _forget(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _save_array(path: Path, values: Array) -> None:
    with path.open("wb") as file:
        np.save(file, values, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _save_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    beside = path.with_name(f"{path.name}.new")
    write(beside)
    os.replace(beside, path)


@contextmanager
def opened(pixels: RawPixels) -> Iterator[RawPixels]:
    """Close the file of pixels in the end."""
    try:
        yield pixels
    finally:
        pixels.close()


def move(written: Path, target: Path) -> None:
    """Give a finished file or folder its name, in place of what had it before.

    A link gives way itself; what it leads to stays as it is.
    """
    if target.is_dir() and not target.is_symlink():
        former = written.with_name(f"{written.name}.former")
        os.replace(target, former)
        try:
            os.replace(written, target)
        except OSError:
            os.replace(former, target)
            raise
        with contextlib.suppress(OSError):
            shutil.rmtree(former)
        return
    os.replace(written, target)
