"""A place of its own to install dummy distributions in, and fresh interpreters that see nothing else.

What the surrounding environment has installed (torch, real plugins) must not matter: the interpreters run without
site-packages, on a folder that holds smp_core and its two light dependencies.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dummy_distributions import Dummy

_NEEDED = ("smp_core", "pluggy", "packaging")

# What the scripts share: run something, and say what came of it.
_PROBE = """
import json

def attempt(function, *arguments, **keywords):
    try:
        value = function(*arguments, **keywords)
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"value": getattr(value, "qualified_name", value)}

def records():
    import smp_core
    return {record.distribution: {"status": record.status, "error": record.error, "version": record.version,
                                  "encoders": record.encoders, "architectures": record.architectures,
                                  "heavy": record.heavy_imports, "traceback": record.traceback or ""}
            for record in smp_core.plugins()}

def report(value):
    print(json.dumps(value))
"""


class Sandbox:
    """Dummy distributions installed in ``target``, and scripts run in fresh interpreters that see only them."""

    def __init__(self, base: Path, target: Path) -> None:
        self.base = base
        self.target = target

    def install(self, *dummies: Dummy) -> None:
        for dummy in dummies:
            dummy.install(self.target)

    def start(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a script; a warning is an error in it."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SMP_", "PYTHON", "COV"))}
        path = os.pathsep.join((str(self.target), str(self.base)))
        return subprocess.run(
            [sys.executable, "-S", "-W", "error", "-c", f"from probe import attempt, records, report\n{script}"],
            env={**kept, "PYTHONPATH": path, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def run(self, script: str, **environment: str) -> Any:
        """Run a script and return what it reports."""
        done = self.start(script, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    for name in _NEEDED:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        origin = Path(found.origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, folder)
    (folder / "probe.py").write_text(_PROBE)
    return folder


@pytest.fixture
def sandbox(base: Path, tmp_path: Path) -> Sandbox:
    target = tmp_path / "target"
    target.mkdir()
    return Sandbox(base, target)
