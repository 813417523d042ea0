"""What the tests of the pages share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smp_testing.warmed import Warmed


@pytest.fixture(scope="session")
def warmed() -> Iterator[Warmed]:
    """Runs the code of a page in a process of its own, in which torch alone is imported, and a warning is an error."""
    found = Warmed(("torch",), ("-W", "error"))
    yield found
    found.close()


@pytest.fixture
def run(warmed: Warmed, tmp_path: Path) -> Callable[..., str]:
    """Runs code in an empty folder, with folders to import from before the usual ones; what it prints."""

    def of(code: str, *path: str) -> str:
        done = warmed.run(code, cwd=tmp_path, path=[*path, *sys.path])
        assert done.returncode == 0, done.stderr
        return done.stdout

    return of
