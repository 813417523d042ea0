"""Names and colours of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smp_cli.errors import CliError

Colour = tuple[int, int, int]

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), then those of Paul Tol's "muted" that differ from it.
PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (136, 34, 85),
    (51, 34, 136),
    (153, 153, 51),
    (17, 119, 51),
    (68, 170, 153),
    (204, 102, 119),
)

_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def colour_of(index: int) -> Colour:
    """The colour of a class from 1 on; they repeat where there are more classes than colours."""
    return PALETTE[(index - 1) % len(PALETTE)]


@dataclass(frozen=True)
class Legend:
    """What the classes of a model are called, and how they are drawn.

    Attributes:
        names: of all classes, or of none.
        colours: of classes by their index, where somebody chose them; class 0 is drawn only then.
    """

    names: tuple[str, ...]
    colours: dict[int, Colour]

    def name(self, index: int) -> str:
        """``class 3``, where it has no name."""
        return self.names[index] if index < len(self.names) else f"class {index}"

    def colour(self, index: int) -> Colour | None:
        """None: it is left as it is."""
        return self.colours.get(index) or (colour_of(index) if index else None)

    def table(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Colours (count, 3), and whether each class is drawn (count,)."""
        chosen = [self.colour(index) for index in range(count)]
        colours = np.array([item or (0, 0, 0) for item in chosen], dtype=np.float32).reshape(-1, 3)
        return colours, np.array([item is not None for item in chosen], dtype=np.bool_)


NAMELESS = Legend((), {})


def read_legend(text: str | None, classes: int) -> Legend:
    """Read ``--classes``: names between commas, or a file with one a line; each may end in ``=#rrggbb``.

    Args:
        text: None: classes have numbers.
        classes: how many the model has. Of a model of one class, either its name is given, or those of both labels.

    Raises:
        CliError: another number of names, or a colour that is none.
    """
    if text is None:
        return NAMELESS
    entries = [entry.strip() for entry in _entries(text)]
    entries = [entry for entry in entries if entry]
    if classes == 1 and len(entries) == 1:
        entries = ["background", *entries]
    wanted = max(classes, 2)
    if len(entries) != wanted:
        raise CliError(
            f"--classes names {len(entries)} classes, the model has {wanted}: {', '.join(entries) or 'none'}"
        )
    names, colours = [], {}
    for index, entry in enumerate(entries):
        name, separator, colour = entry.rpartition("=")
        if not separator:
            names.append(entry)
            continue
        if not _HEX.fullmatch(colour):
            raise CliError(f"--classes gives {name!r} the colour {colour!r}; expected one as #3366ff")
        names.append(name)
        colours[index] = (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16))
    return Legend(tuple(names), colours)


def _entries(text: str) -> Sequence[str]:
    path = Path(text)
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8").splitlines()
    except OSError:  # too long for a name of a file
        return text.split(",")
    return text.split(",")
