"""Distributions of strangers: built as wheels by their own build backends, and installed where nothing else is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from installed_site import Site

HERE = Path(__file__).parent
# Their tests run where they are installed.
collect_ignore = ["distributions"]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheels of all strangers; each build backend builds from a copy, as some write beside the sources."""
    folder = tmp_path_factory.mktemp("strangers")
    shutil.copytree(HERE / "distributions", folder / "sources")
    sources = sorted(str(path) for path in (folder / "sources").iterdir())
    pip = (sys.executable, "-m", "pip", "-q", "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir")
    done = subprocess.run([*pip, str(folder / "wheels"), *sources], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted((folder / "wheels").iterdir())


@pytest.fixture(scope="session")
def site(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """All strangers, installed beside one another."""
    return Site(tmp_path_factory.mktemp("site"), wheels)
