"""Many images over the workers of a Ray cluster, on one machine or several (https://docs.ray.io).

The driver holds a queue of groups of images; large ones come back divided into pieces, and are merged when all pieces
are there. What a lost worker was doing is done again by another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from smp_predict.errors import ClusterError, OptionError
from smp_predict.formats.needing import needed
from smp_predict.options import Options
from smp_predict.planning import Given
from smp_predict.running import Model
from smp_predict.tally import Outcome, Tally
from smp_predict.workers import Large, Worker

# How often what a lost worker was doing is done again: a file that kills whoever reads it must come to an end.
_RETRIES = 3


@dataclass
class _Task:
    """One call of a worker's method."""

    method: str
    arguments: tuple[Any, ...]
    large: Large | None = None
    names: tuple[str, ...] = ()


@dataclass
class _Underway:
    """A large image whose pieces are being done."""

    large: Large
    left: int
    pixels: int = 0
    failed: bool = False


@dataclass
class _Run:
    tally: Tally
    folder: Path
    queue: deque[_Task] = field(default_factory=deque)
    underway: dict[str, _Underway] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)


def run_on_ray(
    model: Model,
    options: Options,
    groups: Sequence[tuple[Mapping[str, Given], frozenset[str]]],
    folder: Path,
    tally: Tally,
    *,
    resume: bool,
    workers: int | None,
    address: str | None,
) -> None:
    """Predict groups of images on a cluster.

    Args:
        model, options, folder, resume: see `smp_predict.predict_many`.
        groups: the images of each, and which of their results a former run had finished.
        tally: is told of what is done.
        workers: how many processes; None: one for each CPU of the cluster, or each GPU where the device is one.
        address: of the cluster; None: that of the environment variable RAY_ADDRESS, else a cluster on this machine.

    Raises:
        MissingDependencyError: Ray is needed.
        ClusterError: the cluster cannot be reached, or has no room for a worker.
    """
    ray = needed("ray", "ray", "engine='ray'")
    if not groups:
        return
    run = _Run(tally, folder)
    for items, kept in groups:
        run.given.update(items)
        run.queue.append(_Task("group", (dict(items), kept), names=tuple(items)))
    with _connected(ray, workers, address):
        # Held until the end: a worker that is started again gets the model once more.
        shared = ray.put(model)
        pool = _workers(ray, shared, options, folder, resume=resume, workers=workers)
        try:
            _drive(ray, run, pool)
        finally:
            for worker in pool:
                ray.kill(worker)


@contextmanager
def _connected(ray: Any, workers: int | None, address: str | None) -> Iterator[None]:
    """A connection: the program's own, where it has one; else one that is closed in the end."""
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", here):
            raise ClusterError(
                f"the program is connected to a Ray cluster at {here}, not {address}: call ray.shutdown() first"
            )
        yield
        return
    local = {} if address else {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error", **local)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise ClusterError(f"cannot connect to a Ray cluster at {address or 'this machine'}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _workers(ray: Any, model: Any, options: Options, folder: Path, *, resume: bool, workers: int | None) -> list[Any]:
    on_gpu = options.device is not None and torch.device(options.device).type == "cuda"
    kind = "GPU" if on_gpu else "CPU"
    there = int(ray.cluster_resources().get(kind, 0))
    count = there if workers is None else workers
    if not 1 <= count <= there:
        raise ClusterError(f"the cluster has {there} {kind}s and no room for {count} workers: ask for 1 to {there}")
    resources = {"num_cpus": 0, "num_gpus": 1} if on_gpu else {"num_cpus": 1}
    actor = ray.remote(**resources, max_restarts=-1, max_task_retries=_RETRIES)(Worker)
    return [actor.remote(model, options, folder.absolute(), resume=resume) for _ in range(count)]


def _drive(ray: Any, run: _Run, pool: Sequence[Any]) -> None:
    idle, running = list(pool), dict[Any, tuple[Any, _Task]]()
    while run.queue or running:
        while idle and run.queue:
            task = run.queue.popleft()
            if task.large is not None and run.underway[task.large.name].failed:
                continue
            worker = idle.pop()
            running[getattr(worker, task.method).remote(*task.arguments)] = worker, task
        if not running:
            return
        (reference,), _ = ray.wait(list(running), num_returns=1)
        worker, task = running.pop(reference)
        idle.append(worker)
        try:
            found = ray.get(reference)
        except ray.exceptions.RayTaskError as error:  # the worker's own, of whatever kind it was
            _failed(run, task, error.cause)
        except ray.exceptions.RayError as error:
            text = " ".join(str(error).split())
            if "creation task" in text:  # of none of the images: no worker comes up
                raise ClusterError(f"workers cannot start: {text}") from error
            _failed(run, task, ClusterError(f"the worker was lost {_RETRIES + 1} times: {text}"))
        else:
            _done(run, task, found)


def _done(run: _Run, task: _Task, found: Any) -> None:
    if task.method == "group":
        outcomes, larges = found
        for outcome in outcomes:
            run.tally.finished(outcome)
        for large in larges:
            _divide(run, large)
    elif task.large is not None and task.method == "piece":
        underway = run.underway[task.large.name]
        window = task.arguments[1].window
        underway.left -= 1
        underway.pixels += window.height * window.width
        done = 1 - underway.left / len(task.large.pieces)
        run.tally.underway(task.large.name, done, underway.pixels)
        if not underway.left and not underway.failed:
            run.queue.appendleft(_Task("merge", (task.large,), task.large))
    else:
        run.tally.finished(found)


def _divide(run: _Run, large: Large) -> None:
    waiting = [piece for piece in large.pieces if piece.index not in large.done]
    run.underway[large.name] = _Underway(large, len(waiting))
    tasks = [_Task("piece", (large, piece), large) for piece in waiting] or [_Task("merge", (large,), large)]
    run.queue.extendleft(reversed(tasks))


def _failed(run: _Run, task: _Task, error: Exception) -> None:
    """Tell of the images that a task was about.

    Raises:
        OptionError: an argument makes no sense, which all images share.
    """
    if isinstance(error, OptionError):
        raise error
    if task.large is None:
        for name in task.names:
            run.tally.finished(Outcome(name, run.given[name], run.folder / name, error))
        return
    underway = run.underway[task.large.name]
    if not underway.failed:
        underway.failed = True
        run.tally.finished(Outcome(task.large.name, task.large.given, run.folder / task.large.name, error))
