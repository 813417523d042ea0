"""Unpacking a tar archive from elsewhere: plain files and folders below one place, and nothing else.

Python's own filter for this (``tarfile.data_filter``) is missing from the first releases of 3.10 and 3.11, and lets
links pass that lead to places within. A data set needs no links, so members are written here one by one: without
owners, permissions, times, links and devices there is little left that an archive could do.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from smp_datasets.errors import DownloadError, UnsafeArchiveError


def extract_folder(
    archive: str | os.PathLike[str], name: str, root: str | os.PathLike[str], *, limit: int = 20 << 30
) -> Path:
    """Unpack one top folder of a tar archive to ``root/name``, whole or not at all.

    The members go to a folder beside it first, which gets the name when all are there: where ``root/name`` exists, it
    is complete, and nothing is unpacked.

    Args:
        archive: .tar, plain or compressed.
        name: the folder in the archive; what else lies in the archive is left out.
        root: a folder.
        limit: how many bytes it may unpack to: a hundred that are compressed can claim a terabyte.

    Returns:
        ``root/name``.

    Raises:
        UnsafeArchiveError: a member's name leads out of the folder, or it is a link or a device, or the members are
            larger than the limit; nothing is left behind.
        DownloadError: the archive is damaged, has no such folder, or could not be written: the disk is full.
    """
    place = Path(root) / name
    if place.is_dir():
        return place
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
    except OSError as error:
        raise DownloadError(f"archive {str(archive)!r} could not be unpacked to {str(root)!r}: {error}") from error
    try:
        _unpack(Path(archive), work, limit)
        if not (work / name).is_dir():
            raise DownloadError(f"archive {str(archive)!r} has no folder {name!r}")
        os.replace(work / name, place)
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise DownloadError(f"archive {str(archive)!r} is damaged: {error}") from error
    except OSError as error:
        if isinstance(error, DownloadError):
            raise
        raise DownloadError(f"archive {str(archive)!r} could not be unpacked to {str(root)!r}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return place


def _unpack(archive: Path, folder: Path, limit: int) -> None:
    size = 0
    with tarfile.open(archive) as file:
        for member in file:
            target = folder.joinpath(*_parts(archive, member))
            size += member.size
            if size > limit:
                raise UnsafeArchiveError(
                    f"archive {str(archive)!r} is refused: it unpacks to more than {limit} bytes; pass limit= for more"
                )
            if target != folder and target.exists() and member.isdir() != target.is_dir():
                raise DownloadError(f"archive {str(archive)!r} is damaged: {member.name!r} is a file and a folder")
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            source = file.extractfile(member) if member.isreg() and target != folder else None
            if source is None:
                raise UnsafeArchiveError(
                    f"archive {str(archive)!r} is refused: its member {member.name!r} is neither a file nor a folder"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            with source, target.open("wb") as destination:
                shutil.copyfileobj(source, destination, 1 << 20)


def _parts(archive: Path, member: tarfile.TarInfo) -> tuple[str, ...]:
    """The parts of a member's name, if it stays within the folder on every operating system."""
    windows, parts = PureWindowsPath(member.name), PurePosixPath(member.name).parts
    if windows.drive or windows.root or ".." in windows.parts or ".." in parts or "\0" in member.name:
        raise UnsafeArchiveError(
            f"archive {str(archive)!r} is refused: its member {member.name!r} would be written outside of the folder"
        )
    return parts
