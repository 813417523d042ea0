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
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from smp_datasets.errors import DatasetError, DownloadError, OptionError, UnsafeArchiveError

# Types of members that are a long name, or other facts, of the next one; tarfile reads them whole.
_FACTS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_LARGEST_FACT = 1 << 20
_BLOCK = 1 << 20


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
        OptionError: a name that is none of a folder, or a limit that is no number of bytes.
        UnsafeArchiveError: a member's name leads out of the folder, or it is a link or a device, or the members are
            larger than the limit; nothing is left behind.
        DownloadError: the archive is damaged, has no such folder, or could not be written: the disk is full.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or PurePosixPath(name).name != name or "\0" in name:
        raise OptionError(f"extract_folder: name must be that of a folder in the archive, got {name!r}")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise OptionError(f"extract_folder: limit must be a number of bytes, got {limit!r}")
    place = Path(root) / name
    if place.is_dir():
        return place
    if Path(archive).exists() and not Path(archive).is_file():
        raise DownloadError(f"archive {str(archive)!r} cannot be read: it is no regular file")
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
    except OSError as error:
        raise DownloadError(f"archive {str(archive)!r} could not be unpacked to {str(root)!r}: {error}") from error
    try:
        _unpack(Path(archive), work, limit)
        if not (work / name).is_dir():
            raise DownloadError(f"archive {str(archive)!r} has no folder {name!r}")
        os.replace(work / name, place)
    except DatasetError:
        raise
    except Exception as error:  # of tarfile, of each of the decompressors, and of whatever a header makes them do
        if isinstance(error, OSError) and error.errno is not None:  # the system's own; decompressors have no number
            raise DownloadError(f"archive {str(archive)!r} could not be unpacked to {str(root)!r}: {error}") from error
        reason = str(error) or type(error).__name__
        raise DownloadError(f"archive {str(archive)!r} is damaged: {reason}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return place


def _unpack(archive: Path, folder: Path, limit: int) -> None:
    size = 0
    with tarfile.open(archive, tarinfo=_Header) as file:
        for member in file:
            target = folder.joinpath(*_parts(archive, member))
            if member.size < 0:  # by a header of another kind
                raise tarfile.ReadError(f"member {member.name!r} has {member.size} bytes")
            size += member.size
            if size > limit:
                raise _too_large(archive, limit)
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
                shutil.copyfileobj(source, destination, _BLOCK)
        _read_on(file.fileobj, archive, limit)


def _read_on(file: Any, archive: Path, limit: int) -> None:
    """Read what follows the last member, as the checksum of what was compressed is behind it."""
    left = limit + _BLOCK
    while block := file.read(_BLOCK):
        left -= len(block)
        if left < 0:
            raise _too_large(archive, limit)


def _too_large(archive: Path, limit: int) -> UnsafeArchiveError:
    return UnsafeArchiveError(
        f"archive {str(archive)!r} is refused: it unpacks to more than {limit} bytes; pass limit= for more"
    )


class _Header(tarfile.TarInfo):
    """A header that is refused where tarfile would read for ever, or more than a memory holds."""

    @classmethod
    def frombuf(cls, *arguments: Any, **keywords: Any) -> Any:
        """See `tarfile.TarInfo.frombuf`."""
        header = super().frombuf(*arguments, **keywords)
        if header.size < 0 or (header.type in _FACTS and header.size > _LARGEST_FACT):
            raise tarfile.ReadError(f"a header says that it is followed by {header.size} bytes")
        return header


def _parts(archive: Path, member: tarfile.TarInfo) -> tuple[str, ...]:
    """The parts of a member's name, if it stays within the folder on every operating system."""
    windows, parts = PureWindowsPath(member.name), PurePosixPath(member.name).parts
    if windows.drive or windows.root or ".." in windows.parts or ".." in parts or "\0" in member.name:
        raise UnsafeArchiveError(
            f"archive {str(archive)!r} is refused: its member {member.name!r} would be written outside of the folder"
        )
    return parts
