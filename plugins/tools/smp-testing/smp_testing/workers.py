"""Two processes of their own, started once, in which checks run what training on several machines runs."""

from __future__ import annotations

import io
import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, distributed, nn

from smp_testing.expectations import ConformanceError, beginning

Work: TypeAlias = Callable[[int, nn.Module, Tensor], None]

NUM_PROCESSES = 2
# Of a collective operation whose other side may have failed, and of all that a process does, starting included.
_PATIENCE = timedelta(seconds=60)
_SECONDS = 600
# Of processes until they are replaced by new ones.
_MOST_RUNS = 20


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
    try:
        file = io.BytesIO()
        torch.save((module, x), file)
    except Exception as error:  # whatever a module raises that cannot be pickled
        raise ConformanceError(f"{what}: torch.save of the module: {beginning(error)}; expected it to work") from error
    with tempfile.TemporaryDirectory() as folder:
        processes = _processes.take()
        tasks = [
            processes.submit(_in_group, work, rank, file.getvalue(), Path(folder, "group").as_uri(), [*sys.path])
            for rank in range(NUM_PROCESSES)
        ]
        try:
            failures = [task.result(timeout=_SECONDS) for task in tasks]
        except Exception:  # a process is gone; the next check starts new ones
            _processes.drop()
            raise
    failed = [f"in process {rank}: {failure}" for rank, failure in enumerate(failures) if failure is not None]
    if failed:
        # One that fails leaves the other waiting for it, whose error says nothing else.
        telling = min(failed, key=lambda text: "gloo" in text.lower())
        raise ConformanceError(f"{what}: {telling}")


class _Processes:
    """New interpreters, which share nothing; others after some use, as torch keeps what it sharded."""

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None
        self._runs = 0

    def take(self) -> ProcessPoolExecutor:
        if self._runs == _MOST_RUNS:
            self.drop()
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(NUM_PROCESSES, context, torch.set_num_threads, (1,))
        self._runs += 1
        return self._executor

    def drop(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor, self._runs = None, 0


_processes = _Processes()


def _in_group(work: Work, rank: int, saved: bytes, group: str, path: list[str]) -> str | None:
    """In a process: what failed, as errors of plugins may themselves not be picklable."""
    sys.path[:] = path  # it may have been started before a plugin was found
    try:
        # What the other process wrote, and the whole module is wanted.
        module, x = torch.load(io.BytesIO(saved), weights_only=False)
        distributed.init_process_group(
            "gloo", init_method=group, rank=rank, world_size=NUM_PROCESSES, timeout=_PATIENCE
        )
        try:
            work(rank, module, x)
            distributed.barrier()  # whoever leaves first would tear the other one's connections
        finally:
            distributed.destroy_process_group()
    except ConformanceError as error:
        return str(error)
    except Exception as error:  # whatever a plugin raises
        return beginning(error)
    return None
