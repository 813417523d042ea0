"""One run at a time on one target, where the system can tell."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from smp_predict.errors import SinkError

# How often a folder is made again that another run removes as it ends.
_ATTEMPTS = 100


class FolderLock:
    """A lock on a folder, which is made where it is missing; it ends with `release`, or with the process.

    Systems without such locks (Windows, some network file systems) let everybody in.

    Args:
        folder: hidden, of one target.
        shared: others may have it, too, as long as all share it: the workers that have pieces of one image.

    Raises:
        SinkError: another run has it.
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self._handle: int | None = None
        for _ in range(_ATTEMPTS):
            if folder.is_symlink():  # it gives way: what it leads to is not ours
                folder.unlink(missing_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            try:
                import fcntl
            except ImportError:
                return
            try:
                handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):  # it was exchanged meanwhile
                    continue
                raise
            try:
                fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                raise SinkError(
                    f"another run is writing this result: {str(folder)!r} is in use; wait for it, or choose another "
                    "target"
                ) from None
            except OSError:  # a file system without locks
                os.close(handle)
                return
            self._handle = handle
            if _is_at(folder, handle):
                return
            self.release()
        raise SinkError(f"{str(folder)!r} vanishes as soon as it is made")

    def release(self) -> None:
        """Let others in."""
        handle, self._handle = self._handle, None
        if handle is not None:
            import fcntl

            # Not by closing it alone: a process that was forked meanwhile holds the same lock until it ends.
            fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


def _is_at(folder: Path, handle: int) -> bool:
    """Whether the folder that was opened is still the one of that name, and not one that a run has removed."""
    try:
        return os.path.samestat(os.stat(folder), os.fstat(handle))
    except FileNotFoundError:
        return False
