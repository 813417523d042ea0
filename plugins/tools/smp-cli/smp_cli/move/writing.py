"""A file replaced as a whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from smp_cli.errors import CliError


def replace_file(path: Path, old: bytes, new: bytes) -> None:
    """Write a file beside another and put it in its place; its mode stays, and so does a link to it.

    Args:
        path: of a file, or a link to one.
        old: what it held when it was read.
        new: what it shall hold.

    Raises:
        CliError: it was changed meanwhile, or may not be written to.
        OSError: the file cannot be written; then the old one is as it was.
    """
    target = Path(os.path.realpath(path))
    # A superuser may write to anything; that nobody is to write to it is what the mode says.
    mode = target.stat().st_mode
    if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise CliError(f"is read-only (mode {stat.S_IMODE(mode):04o}) and was left alone; chmod u+w makes it writable")
    if not os.access(target, os.W_OK):
        raise CliError("may not be written to")
    if target.read_bytes() != old:
        raise CliError("was changed by somebody else meanwhile")
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(new)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, stat.S_IMODE(mode))
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
