"""Replacing several files of a folder at once: all of them, or none.

Each is written whole beside its place, and is on the disk, before the first is moved; savers wait for one another.
Between the first move and the last a reader finds the rest by the identity that all files of a save carry
(`smp_core.sources.saved`), and where the saver died there, the next one moves them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from smp_core.errors import CheckpointError
from smp_core.sources.tensor_files import new_workspace, workspaces
from smp_core.tensors.locking import locked

Write = Callable[[Path], Any]
"""Writes one file, whose path it is given."""


def replace_files(
    folder: Path,
    files: Mapping[str, Write],
    *,
    stale: Callable[[str], bool],
    is_begun: Callable[[Path, Path], bool],
) -> None:
    """Write files into a folder, which is made where it is missing.

    Links are followed, and modes of files that are there are kept.

    Args:
        folder: where to.
        files: what writes each, by name, in the order in which they are moved into place.
        stale: whether a file of a name that is not among them is removed after.
        is_begun: whether a file that a dead saver has left is the missing part of one that it has moved; asked with its
            path and its place.

    Raises:
        CheckpointError: they could not be written; what was there is as it was.
    """
    try:
        homes = sorted({_place(folder, name).parent for name in files})
        with _made(folder), locked(homes) as is_alone:
            if is_alone:
                _finish(homes, is_begun)
            _replace(folder, files)
            with contextlib.suppress(OSError):  # nobody takes what stays for a file of this save
                for path in list(folder.iterdir()):
                    if path.name not in files and stale(path.name):
                        path.unlink()
    except OSError as error:
        raise CheckpointError(f"could not save the model in {str(folder)!r}, which is as it was: {error}") from error


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder that is there, and gone again where what follows fails and it was not there before."""
    missing = [path for path in (folder, *folder.parents) if not path.exists() and not path.is_symlink()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # somebody else has put something in
            for path in missing:
                path.rmdir()
        raise


def _place(folder: Path, name: str) -> Path:
    """Where a file really is: what a link in the folder points to."""
    return Path(os.path.realpath(folder / name))


def _finish(folders: Iterable[Path], is_begun: Callable[[Path, Path], bool]) -> None:
    """Move what a saver that died had still to move; remove what else it left."""
    for folder in folders:
        for workspace in workspaces(folder):
            for path in list(workspace.iterdir()):
                if is_begun(path, folder / path.name):
                    path.replace(folder / path.name)
            shutil.rmtree(workspace, ignore_errors=True)


def _replace(folder: Path, files: Mapping[str, Write]) -> None:
    places = {name: _place(folder, name) for name in files}
    with contextlib.ExitStack() as stack:
        new, old = _Workspaces(), _Workspaces()
        stack.callback(old.remove)
        stack.callback(new.remove)
        for name, write in files.items():
            if places[name].exists() and not places[name].is_file():
                raise OSError(f"{str(places[name])!r} is in the way, and no regular file")
            _write(new.path_for(places[name]), write, places[name])
        for place in places.values():
            if place.exists():
                _give_second_name(place, old.path_for(place))
        new.settle()
        moved: list[Path] = []
        try:
            for place in places.values():
                moved.append(place)
                new.path_for(place).replace(place)
            new.settle()
        except BaseException:
            for place in reversed(moved):
                if old.path_for(place).exists():
                    old.path_for(place).replace(place)
                elif not new.path_for(place).exists():
                    place.unlink(missing_ok=True)
            raise


class _Workspaces:
    """Hidden folders beside the places of files, one in each folder that has any."""

    def __init__(self) -> None:
        self._of: dict[Path, Path] = {}

    def path_for(self, place: Path) -> Path:
        if place.parent not in self._of:
            self._of[place.parent] = new_workspace(place.parent)
        return self._of[place.parent] / place.name

    def settle(self) -> None:
        """Have the disk know the names in these folders, and beside them."""
        if os.name != "posix":  # elsewhere folders cannot be opened
            return
        for folder in (*self._of.values(), *self._of):
            handle = os.open(folder, os.O_RDONLY)
            try:
                with contextlib.suppress(OSError):  # not every file system can
                    os.fsync(handle)
            finally:
                os.close(handle)

    def remove(self) -> None:
        for workspace in self._of.values():
            shutil.rmtree(workspace, ignore_errors=True)


def _write(path: Path, write: Write, place: Path) -> None:
    """Write a file whole and onto the disk, with the mode of the one that it will replace, or of a new one.

    It gets its name when it is whole: a reader that looks for another save of the same model would take it.
    """
    part = _part(path)
    part.touch()
    mode = part.stat().st_mode
    write(part)  # some libraries replace the file, and its mode
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    with contextlib.suppress(FileNotFoundError):
        mode = place.stat().st_mode
    part.chmod(stat.S_IMODE(mode))
    os.replace(part, path)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _give_second_name(place: Path, path: Path) -> None:
    """A second name for what a file holds; a copy where files cannot have two."""
    try:
        os.link(place, path)
    except OSError:
        shutil.copy2(place, _part(path))
        os.replace(_part(path), path)
