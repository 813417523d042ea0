"""Two processes of their own, in which checks run what training on several machines runs."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, distributed, nn

from smp_testing import probe
from smp_testing.expectations import ConformanceError, beginning
from smp_testing.warmed import FORKS

Work: TypeAlias = Callable[[int, nn.Module, Tensor], None]

NUM_PROCESSES = 2
# Of a collective operation whose other side may have failed, and of all that the processes do.
_PATIENCE = timedelta(seconds=60)
_SECONDS = 600.0

_PROGRAM = "import sys; from smp_testing import workers; workers.main(*sys.argv[1:])"
_MODULE, _GROUP = "module.pt", "group"


def run_in_processes(work: Work, module: nn.Module, x: Tensor, what: str) -> None:
    """Run ``work(rank, module, x)`` in each process of a gloo group.

    Args:
        work: a function that a new process finds by its name; it raises where something is wrong.
        module: each process has its own, as `torch.save` writes it and `torch.load` reads it in a new process.
        x: handed on as it is.
        what: begins the message.

    Raises:
        ConformanceError: a process failed, and how.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            torch.save((module, x), Path(folder, _MODULE))
        except Exception as error:  # whatever a module raises that cannot be pickled
            raise ConformanceError(
                f"{what}: torch.save of the module: {beginning(error)}; expected it to work"
            ) from error
        done = probe.with_torch.run(_PROGRAM, folder, f"{work.__module__}:{work.__qualname__}", timeout=_SECONDS)
        results = [Path(folder, str(rank)) for rank in range(NUM_PROCESSES)]
        silent = done.stderr or f"it ended with status {done.returncode}, and said nothing"
        failures = [result.read_text(encoding="utf-8") if result.exists() else silent for result in results]
    failed = [f"in process {rank}: {failure}" for rank, failure in enumerate(failures) if failure]
    if failed:
        # One that fails leaves the other waiting for it, whose error says nothing else.
        telling = min(failed, key=lambda text: "gloo" in text.lower())
        raise ConformanceError(f"{what}: {telling}")


def main(folder: str, work: str, rank: str = "") -> None:
    """A process's side: the first one starts the others. It does not return."""
    if rank:
        _write_result(folder, work, int(rank))
        os._exit(0)
    others: list[int | subprocess.Popen[bytes]] = []
    for number in range(1, NUM_PROCESSES):
        if not FORKS:
            others.append(subprocess.Popen([sys.executable, "-c", _PROGRAM, folder, work, str(number)]))  # noqa: S603  # our own program
            continue
        child = os.fork()
        if not child:
            _write_result(folder, work, number)
            os._exit(0)
        others.append(child)
    _write_result(folder, work, 0)
    for other in others:
        if isinstance(other, int):
            os.waitpid(other, 0)
        else:
            other.wait()
    os._exit(0)  # taking down all that torch has set up takes a second


def _write_result(folder: str, work: str, rank: int) -> None:
    """Write what failed into the file of the rank, as text: errors of plugins may not be picklable."""
    text = _in_group(pkgutil.resolve_name(work), rank, Path(folder)) or ""
    Path(folder, str(rank)).write_text(text, encoding="utf-8")


def _in_group(work: Work, rank: int, folder: Path) -> str | None:
    torch.set_num_threads(1)
    try:
        # What the other process wrote, and the whole module is wanted.
        module, x = torch.load(folder / _MODULE, weights_only=False)
        distributed.init_process_group(
            "gloo",
            init_method=(folder / _GROUP).as_uri(),
            rank=rank,
            world_size=NUM_PROCESSES,
            timeout=_PATIENCE,
        )
        try:
            work(rank, module, x)
            distributed.barrier()  # whoever leaves first would tear the other one's connections
        finally:
            distributed.destroy_process_group()
    except ConformanceError as error:
        return str(error)
    except BaseException as error:  # whatever a plugin raises, an exit included
        return beginning(error)
    return None
