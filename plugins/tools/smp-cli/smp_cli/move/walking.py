"""Which files are meant: those that are named, and those in the folders that are named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from smp_cli.errors import CliError

SUFFIXES = frozenset({".py", ".pyi", ".pyw", ".ipynb"})
_SKIPPED = frozenset({"node_modules", "__pycache__"})


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files below paths, each once, in the order of the paths and then of their names.

    A file that is named is read whatever its name; in folders, those that end as Python files and notebooks do, in
    upper or lower case. Hidden folders, virtual environments and installed packages are passed over, unless they are
    named themselves.

    Raises:
        CliError: a path does not exist.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise CliError(f"{str(path)!r} does not exist; expected a Python file, a notebook or a folder of these")
        for file in _below(path) if path.is_dir() else (path,):
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def _below(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_skipped(Path(here, name)))
        for name in sorted(files):
            path = Path(here, name)
            if path.suffix.lower() in SUFFIXES and path.is_file():
                yield path


def _is_skipped(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _SKIPPED or (folder / "pyvenv.cfg").exists()
