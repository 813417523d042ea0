"""One saver at a time in a folder, where the system can tell."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

# Seconds after which waiting is told, and given up: a saver may have stopped, and would be waited for without end.
_TELL_EVERY, _LONGEST = 15.0, 300.0
_LONGEST_STEP = 0.1

_logger = logging.getLogger("smp_core")


@contextlib.contextmanager
def locked(folders: Iterable[Path]) -> Iterator[bool]:
    """Whether nobody else is saving into these folders: waited for, where the system has locks on folders.

    Raises:
        OSError: somebody else is, for longer than is waited; or a folder cannot be opened.
    """
    try:
        import fcntl
    except ImportError:
        yield False
        return
    with contextlib.ExitStack() as stack:
        is_alone = True
        for folder in folders:
            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            if _acquire(handle, folder):
                # Not by closing it alone: a process that was forked meanwhile holds the same lock until it ends.
                stack.callback(fcntl.flock, handle, fcntl.LOCK_UN)
            else:
                is_alone = False
        yield is_alone


def _acquire(handle: int, folder: Path) -> bool:
    """Wait for a lock; False where there are none."""
    import fcntl

    started = told = time.monotonic()
    step = 0.001
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError as error:
            # What a user's signal handler raises has no number; file systems without locks have many for it.
            if isinstance(error, TimeoutError) or error.errno is None:
                raise
            return False
        else:
            return True
        now = time.monotonic()
        if now - started > _LONGEST:
            raise OSError(f"another program has been saving into {str(folder)!r} for {_LONGEST:.0f} s, or has stopped")
        if now - told > _TELL_EVERY:
            told = now
            _logger.warning("waiting for %.0f s for another program that saves into %s", now - started, folder)
        time.sleep(step)
        step = min(step * 1.5, _LONGEST_STEP)
