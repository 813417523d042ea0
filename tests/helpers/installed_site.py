"""Wheels installed into a folder of their own, and processes that see them before all else."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Site:
    """A folder of ``sys.path`` with installed wheels, and fresh processes that see it first."""

    def __init__(self, folder: Path, wheels: Sequence[Path]) -> None:
        self.folder = folder
        if not wheels:
            return
        pip = (sys.executable, "-m", "pip", "-q", "install", "--no-deps", "--no-index", "--target", str(folder))
        subprocess.run([*pip, *map(str, wheels)], check=True, capture_output=True, text=True)

    def start(self, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run this Python with arguments."""
        path = os.pathsep.join(filter(None, (str(self.folder), os.environ.get("PYTHONPATH", ""))))
        variables = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=variables, cwd=cwd, capture_output=True, text=True, check=False, timeout=500)

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script that must succeed, and return what it prints last, as JSON."""
        done = self.start("-W", "error::UserWarning:smp_core", "-c", script, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def copied(self, folder: Path) -> Site:
        """Another folder with the same, of which something can be uninstalled."""
        shutil.copytree(self.folder, folder)
        return Site(folder, [])

    def uninstall(self, distribution: str) -> None:
        """Remove the files that the installer has recorded; pip itself does not uninstall from such a folder."""
        (info,) = self.folder.glob(f"{distribution.replace('-', '_')}-*.dist-info")
        with (info / "RECORD").open(newline="") as file:
            files = [self.folder / row[0] for row in csv.reader(file)]
        for path in files:
            path.unlink(missing_ok=True)
        shutil.rmtree(info, ignore_errors=True)
