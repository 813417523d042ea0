"""Predicting many images into a folder: in this process, or over the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

from smp_predict.clusters import run_on_ray
from smp_predict.errors import OptionError, SinkError
from smp_predict.groups import Group, groups
from smp_predict.identity import digest_of
from smp_predict.job import Job, to_file
from smp_predict.ledger import Ledger
from smp_predict.naming import names_for
from smp_predict.options import Options
from smp_predict.planning import Given, Planner, planner
from smp_predict.running import Model
from smp_predict.tally import ManyProgress, Outcome, Tally

Sources = Iterable[str | os.PathLike[str]] | Mapping[str, Given]


def predict_many(
    model: Model,
    sources: Sources,
    sink_folder: str | os.PathLike[str],
    *,
    suffix: str = ".tif",
    options: Options | None = None,
    resume: bool = True,
    engine: Literal["ray"] | None = None,
    workers: int | None = None,
    address: str | None = None,
    finished: Callable[[Outcome], None] | None = None,
    progress: Callable[[ManyProgress], None] | None = None,
) -> list[Outcome]:
    """Predict many images, each into a file of its own.

    Tiles of small images share their batches; one that fills batches of its own is predicted as `smp_predict.predict`
    does. Files are written beside their places, and moved there when they are whole. An image that cannot be read or
    predicted is told, and the others go on. A run that was cut goes on: a hidden file in the folder says what is
    finished.

    Args:
        model: see `smp_predict.predict`.
        sources: paths of files; the results keep the folders below the deepest one that all have in common. Or a
            mapping of the results' names, paths relative to ``sink_folder`` with extensions, to paths, arrays or
            `smp_predict.Source`.
        sink_folder: is made where it is missing.
        suffix: the extension of the results, which says their format, where ``sources`` are paths alone.
        options: how images are predicted; None: as `smp_predict.predict` does by default.
        resume: False: begin anew whatever a former run has finished.
        engine: None: in this process. ``"ray"``: over the workers of a Ray cluster, which divide large images, too,
            unless they are pictures or arrays, whose parts cannot be read alone. Every worker must see images and
            folder under the same paths. What a lost worker was doing is done again, finished pieces are kept, and the
            results are those of one process, to the bit where the model's are.
        workers: how many processes; None: one for each CPU of the cluster, or each GPU where the device is one.
        address: of a cluster; None: that in the environment variable RAY_ADDRESS, else one on this machine.
        finished: called with each `Outcome` as it comes.
        progress: called with `ManyProgress` after each batch.

    Returns:
        What has become of each image, in the order in which they came to their ends.

    Raises:
        OptionError: an argument makes no sense, whatever the image.
        SinkError: the folder cannot be made.
        MissingDependencyError: Ray is needed.
        ClusterError: the cluster cannot be reached, or has no room.

    Examples:
        >>> import numpy as np, tempfile
        >>> images = {f"{k}.npy": np.zeros((40, 50, 3), np.uint8) for k in range(3)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = predict_many(lambda x: x - 0.5, images, folder)
        >>> [(item.name, item.error) for item in found]
        [('0.npy', None), ('1.npy', None), ('2.npy', None)]
    """
    chosen = options or Options()
    folder = Path(sink_folder)
    items = _items(sources, suffix)
    _check_engine(engine, workers, address)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot write into {str(folder)!r}: {error.strerror or error}") from error
    ledger = Ledger(folder, chosen, digest_of(model), resume=resume)

    def note(outcome: Outcome) -> None:
        if finished:
            finished(outcome)
        if outcome.error is None and not outcome.kept:
            ledger.add(outcome.name, outcome.source)

    tally = Tally(len(items), note, progress)
    # Groups are made of all images, whatever is done already, so that a run that goes on makes the same batches.
    waiting = [_undone(group, folder, ledger, tally) for group in groups(items)]
    if engine == "ray":
        parts = [(group, frozenset(_kept(group, folder, ledger))) for group in waiting if group]
        run_on_ray(model, chosen, parts, folder, tally, resume=resume, workers=workers, address=address)
    else:
        with planner(model, chosen) as plan:
            for group in waiting:
                _run_here(plan, group, folder, ledger, tally, resume=resume)
    if all(outcome.error is None for outcome in tally.outcomes):
        ledger.remove()
    return tally.outcomes


def _items(sources: Sources, suffix: str) -> dict[str, Given]:
    if isinstance(sources, Mapping):
        items = dict(sources)
        for name in items:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise OptionError(f"names of results must be relative to the folder and lie in it, got {name!r}")
        return items
    if isinstance(sources, (str, os.PathLike)):
        raise OptionError(f"sources must be several paths, or a mapping; got the path {os.fspath(sources)!r} alone")
    return dict(names_for(sources, suffix))


def _check_engine(engine: str | None, workers: int | None, address: str | None) -> None:
    if engine not in (None, "ray"):
        raise OptionError(f"engine must be None or 'ray', got {engine!r}")
    if engine is None and (workers is not None or address is not None):
        raise OptionError("workers and address are for engine='ray', got engine=None")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise OptionError(f"workers must be an int of at least 1, got {workers!r}")


def _kept(group: Mapping[str, Given], folder: Path, ledger: Ledger) -> list[str]:
    return [name for name, given in group.items() if ledger.has(name, given, folder / name)]


def _undone(group: dict[str, Given], folder: Path, ledger: Ledger, tally: Tally) -> dict[str, Given]:
    """The images of a group, but for a group that is finished: its batches are of all of its images."""
    if len(_kept(group, folder, ledger)) == len(group):
        for name, given in group.items():
            tally.finished(Outcome(name, given, folder / name, kept=True))
        return {}
    return group


def _run_here(
    plan: Planner, items: Mapping[str, Given], folder: Path, ledger: Ledger, tally: Tally, *, resume: bool
) -> None:
    def large(name: str, given: Given, job: Job) -> None:
        if ledger.has(name, given, folder / name):
            tally.finished(Outcome(name, given, folder / name, kept=True))
            return
        to_file(job, folder / name, plan.settings(job, given), resume=resume)
        tally.finished(Outcome(name, given, folder / name))

    Group(plan, folder, large, tally).run(items)
