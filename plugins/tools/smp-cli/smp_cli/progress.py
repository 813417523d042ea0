"""How far ``smp predict`` is: pictures done, throughput, and the time that is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from smp_cli.console import stderr
from smp_predict import ManyProgress


@contextmanager
def shown_progress(images: int) -> Iterator[Callable[[ManyProgress], None]]:
    """A line on stderr, and what is to be called with each moment of the run."""
    name = TextColumn("{task.description}", table_column=Column(max_width=32, no_wrap=True, overflow="ellipsis"))
    about = TextColumn("{task.fields[about]}", table_column=Column(no_wrap=True))
    with Progress(name, BarColumn(), about, console=stderr(), redirect_stdout=False) as progress:
        task = progress.add_task("predicting", total=images, about=f"0/{images}")

        def show(moment: ManyProgress) -> None:
            progress.update(task, completed=moment.done, description=moment.name or "predicting", about=_about(moment))

        yield show


def _about(moment: ManyProgress) -> str:
    text = f"{int(moment.done)}/{moment.images}, {moment.megapixels_per_second:.2f} megapixels/s"
    left = moment.seconds_left
    if left is None:
        return text
    minutes, seconds = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{text}, {hours}:{minutes:02}:{seconds:02} left"
