"""What happens when a plugin is imported, seen from a process of its own.

Run as a child by `run`: it prints one line of JSON, its last. Nothing here imports torch before it is asked to.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from smp_testing.warmed import Warmed

# The child sees the modules that this process sees, however they got onto its path.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from smp_testing import probe; probe.main(sys.argv[2:])"
)
_FORKED = "import sys; from smp_testing import probe; probe.main(sys.argv[1:])"
_TIMEOUT = 300.0
_STANDARD = {*sys.stdlib_module_names}

# What is measured after torch was imported needs no new import of torch for each distribution. No plugin is loaded yet:
# they are discovered when something is asked of the registry.
with_torch = Warmed(
    ("smp_core.checkpoint", "smp_testing.checks.distributed", "torch.distributed.fsdp", "torch.nn.parallel")
)
"""Where checks start processes that need torch."""
_NEEDS_TORCH = "implementations"


def prepare() -> None:
    """Let the process that has torch get ready, beside what this one does meanwhile."""
    with_torch.start()


def run(distribution: str, question: str, *arguments: str) -> Any:
    """Ask a process of its own, in which only the plugins of one distribution exist, and return its answer.

    Raises:
        RuntimeError: the process failed; holds what it wrote.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SMP_")},
        "SMP_PLUGINS": distribution,
    }
    if question == _NEEDS_TORCH:
        done = with_torch.run(_FORKED, question, *arguments, environment=environment, timeout=_TIMEOUT)
    else:
        command = [sys.executable, "-c", _START, json.dumps(sys.path), question, *arguments]
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": _TIMEOUT}
        done = subprocess.run(command, env=environment, check=False, **options)  # noqa: S603  # our own program
    if done.returncode != 0:
        raise RuntimeError(f"a fresh process for {distribution!r} failed:\n{done.stdout}{done.stderr}")
    if not done.stdout.strip():
        raise RuntimeError(f"a fresh process for {distribution!r} ended with status 0 and gave no answer")
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: Sequence[str]) -> None:
    """The child's side: answer one question."""
    question, *rest = arguments
    questions: dict[str, Callable[..., Any]] = {"discovery": _discovery, "implementations": _implementations}
    answer = questions[question](*rest)
    print(json.dumps(answer), flush=True)  # noqa: T201  # the answer to the parent
    os._exit(0)  # taking down what was imported takes a second where torch is among it


def _discovery(distribution: str) -> list[dict[str, Any]]:
    """Status and error of every plugin of the distribution, after its modules were imported and its hooks asked."""
    import smp_core

    own = [record for record in smp_core.plugins() if record.distribution == distribution]
    return [{"status": record.status, "error": record.error} for record in own]


def _implementations(modules: str, preload: str) -> dict[str, list[str]]:
    """Which of the modules (JSON) do not import, what importing them changes, and the modules that come along."""
    import smp_core.checkpoint  # noqa: F401  # torch, and all of the core that a model needs
    from smp_testing.surroundings import Surroundings

    for module in json.loads(preload):
        with contextlib.suppress(Exception, SystemExit):  # a name in sys.modules need not be importable by itself
            importlib.import_module(module)
    before, surroundings = {*sys.modules}, Surroundings()
    failures = [failure for failure in map(_import_failure, json.loads(modules)) if failure]
    # In the order in which they were begun, which is one in which they can be imported.
    along = [name for name in sys.modules if name not in before and name.partition(".")[0] not in _STANDARD]
    return {"failures": failures, "changes": surroundings.changes(), "modules": along}


def _import_failure(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except BaseException as error:  # a stranger's code, which may even end the process
        return f"{module}: {type(error).__name__}: {error}"
    return None
